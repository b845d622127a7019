"""What an order over its budget is told: the nearest thing that fits, and it does fit."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.catalog import catalog
from aiprod.models import USD, JobSpec
from aiprod.recommending import cheapest_way, recommend
from tests.desk import NOW

READY = ("runway", "veo3", "replicate")
TODAY = NOW.date()


@pytest.fixture(scope="module")
def phase3():
    return catalog().model_copy(update={"tariff": "phase3"})


def spec(**order):
    return JobSpec(**({"prompt": "a lake", "audio": False} | order))


def told(config, ready=READY, **order):
    return recommend(spec(**order), config, ready, TODAY)


class TestCheapestWay:
    def test_it_is_the_cheapest_backend_that_meets_the_floor(self, phase3):
        assert cheapest_way(spec(), phase3, READY, TODAY).model_dump() == {"backends": ("replicate",), "price": 260_000}
        assert cheapest_way(spec(quality_floor=0.8), phase3, READY, TODAY).backends == ("veo3",)
        assert cheapest_way(spec(quality_floor=0.93), phase3, READY, TODAY).backends == ("runway",)

    def test_it_pays_for_every_shot(self, phase3):
        assert cheapest_way(spec(seconds=30), phase3, READY, TODAY).price == int(Decimal("0.052") * 30 * USD)

    @pytest.mark.parametrize(
        "order",
        [
            {"quality_floor": 0.99},
            {"backend": "runway", "audio": True, "aspect_ratio": "1:1"},
            {"seconds": 500},
            {"backend": "sora"},
        ],
    )
    def test_there_may_be_none(self, phase3, order):
        assert cheapest_way(spec(**order), phase3, READY, TODAY) is None

    def test_what_is_not_ready_makes_nothing(self, phase3):
        assert cheapest_way(spec(), phase3, ("veo3",), TODAY).backends == ("veo3",)
        assert cheapest_way(spec(backend="runway"), phase3, ("veo3",), TODAY) is None
        assert cheapest_way(spec(), phase3, (), TODAY) is None


class TestRecommending:
    def test_another_backend_comes_first(self, phase3):
        assert told(phase3, backend="runway", budget_usd="5") == "replicate would make it for $0.26"
        assert told(phase3, backend="runway", budget_usd="5", quality_floor=0.8) == "veo3 would make it for $2.60"

    def test_the_orders_quarter_dollar_buys_four_seconds(self, phase3):
        assert told(phase3, budget_usd="0.25") == "4 s of it would fit at replicate, for $0.208"

    def test_a_longer_order_is_cut_to_whole_shots(self, phase3):
        assert told(phase3, seconds=30, budget_usd="1.20") == "22.5 s of it would fit at replicate, for $1.17"

    def test_a_shot_list_loses_its_last_shots(self, phase3):
        shots = [{"prompt": "a", "seconds": 5}, {"prompt": "b", "seconds": 4}, {"prompt": "c", "seconds": 3}]
        assert told(phase3, prompt=None, shots=shots, budget_usd="0.50") == "9 s of it would fit at replicate, for $0.468"

    def test_the_ordered_backend_is_kept_where_a_shorter_video_fits_it(self, phase3):
        assert told(phase3, ("runway",), backend="runway", budget_usd="20") == "3 s of it would fit at runway, for $18.00"

    def test_a_preset_with_a_lower_floor_comes_last(self, phase3):
        order = {"preset": "brand_campaign", "budget_usd": "0.40", "seconds": 5}
        assert told(phase3, **order) == "preset quick_social would fit at replicate, for $0.26"

    def test_when_nothing_fits_it_says_so(self, phase3):
        assert told(phase3, budget_usd="0.01") == "nothing shorter, cheaper or plainer fits"

    def test_the_preview_is_never_recommended(self, phase3):
        assert told(phase3, ("runway", "animatic"), budget_usd="0.01") == "nothing shorter, cheaper or plainer fits"

    @settings(max_examples=60, deadline=None)
    @given(
        cents=st.integers(1, 4_000),
        seconds=st.integers(1, 30),
        backend=st.sampled_from(["auto", *READY]),
        tariff=st.sampled_from(["list", "phase3"]),
    )
    def test_whatever_is_recommended_costs_no_more_than_the_budget(self, cents, seconds, backend, tariff):
        known = catalog().model_copy(update={"tariff": tariff})
        said = told(known, seconds=seconds, budget_usd=Decimal(cents) / 100, backend=backend)
        price = re.search(r"\$([0-9.,]+)", said)
        assert price is None or Decimal(price[1].replace(",", "")) <= Decimal(cents) / 100
        shorter = re.match(r"([0-9.]+) s of it", said)
        assert shorter is None or float(shorter[1]) < seconds
