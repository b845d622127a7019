"""A price for an order, or why nobody could make it. What orders are refused for is told in `test_ordering`."""

from __future__ import annotations

import pytest

from aiprod.errors import SpecError
from aiprod.estimating import NO_LIMIT, makers, price, price_shots
from aiprod.models import JobSpec, Manifest, ShotSpec
from tests.market import LONG_AGO, Market

NOW = LONG_AGO.replace(month=11)
SPEC = JobSpec(shots=(ShotSpec(prompt="a lake", seconds=1), ShotSpec(prompt="a boat", seconds=2)))


def alone(manifest: Manifest, index: int) -> Manifest:
    return manifest.model_copy(update={"shots": (manifest.shot(index),)})


def test_the_price_of_an_order_is_the_sum_of_its_shots(local_market: Market) -> None:
    manifest, whole, able = price("job-1", SPEC, local_market.catalog, now=NOW)
    parts = [price_shots(alone(manifest, n), SPEC, local_market.catalog, budget=NO_LIMIT, now=NOW)[0] for n in (1, 2)]
    assert whole.expected == sum(part.expected for part in parts) > 0
    assert whole.worst_case == sum(part.worst_case for part in parts)
    assert able == makers(SPEC, local_market.catalog) == ("runway", "veo3", "replicate")


def test_what_is_left_of_a_budget_bounds_a_price(local_market: Market) -> None:
    manifest, _, _ = price("job-1", SPEC, local_market.catalog, now=NOW)
    with pytest.raises(SpecError, match=r"budget_usd: \$0\.01 cannot pay for this video"):
        price_shots(manifest, SPEC, local_market.catalog, budget=10_000, now=NOW)


def test_nothing_to_buy_costs_nothing(local_market: Market) -> None:
    manifest, _, _ = price("job-1", SPEC, local_market.catalog, now=NOW)
    empty = manifest.model_copy(update={"shots": ()})
    estimate, able = price_shots(empty, SPEC, local_market.catalog, budget=0, now=NOW)
    assert (estimate.expected, estimate.worst_case, estimate.lines) == (0, 0, ()) and able
