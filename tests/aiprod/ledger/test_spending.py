"""What a period cost and saved is what its postings say, whatever they are added up by."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from aiprod.costs import costs_of
from aiprod.ledger import charges, points, results
from aiprod.ledger.schema import qa_reports
from aiprod.ledger.spending import Spent, spent
from aiprod.ledger.states import Step
from aiprod.models import USD, Candidate, Decision
from tests.desk import HOUR, NOW, Desk
from tests.market import Market

ALWAYS = (NOW - timedelta(days=3650), NOW + timedelta(days=3650))


def read(desk: Desk | Market, since=ALWAYS[0], until=ALWAYS[1]) -> list[Spent]:
    with desk.ledger.read() as conn:
        return spent(conn, since, until)


def decision(*quotes: int | None, chosen: str = "runway") -> Decision:
    """A choice between backends of which those without a quote were out of the question."""
    names = (chosen, "veo3", "replicate")
    able = [
        Candidate(
            backend=name,
            model="m",
            quote=quote,
            quality=0.9,
            expected_seconds=1,
            rank=None if quote is None else n + 1,
            lost="unhealthy" if quote is None else "",
        )
        for n, (name, quote) in enumerate(zip(names, quotes, strict=False))
    ]
    return Decision(shot=1, chosen=chosen, model="m", quote=quotes[0], candidates=tuple(able))


def bought(desk: Desk, choice: Decision | None, *, charge: int, step: Step = Step.SUCCEED, job_id: str = "job-1") -> str:
    (held,) = desk.hold_all(desk.new_hold(desk.order(job_id), decision=choice))
    desk.bring(held.purchase_id, "submitted")
    desk.close(held.purchase_id, step, charge=charge)
    return held.purchase_id


class TestSettled:
    def test_the_sums_are_those_of_the_postings_to_the_micro_dollar(self, desk: Desk) -> None:
        bought(desk, None, charge=6 * USD + 1)
        bought(desk, None, charge=2 * USD, step=Step.FAIL, job_id="job-2")
        desk.release(desk.hold(desk.order("job-3")).purchase_id, Step.VOID)
        desk.adjust(bought(desk, None, charge=3 * USD, job_id="job-4"), -USD, "refund")
        (found,) = read(desk)
        with desk.ledger.read() as conn:
            (one,) = costs_of(charges.charges(conn, *ALWAYS))
            assert found.total == charges.settled_between(conn, *ALWAYS) == one.total == 10 * USD + 1
        assert (found.purchases, found.quoted, found.charged, found.failed, found.corrections) == (
            one.purchases, one.quoted, one.charged, one.waste, -USD,
        )  # fmt: skip
        assert (found.project, found.backend, found.model) == ("default", "runway", "gen4.5")

    def test_a_period_has_its_first_microsecond_and_not_its_last(self, desk: Desk) -> None:
        bought(desk, decision(USD, 3 * USD), charge=USD)
        tick = timedelta(microseconds=1)
        assert [(one.total, one.saved_by_routing) for one in read(desk, NOW, NOW + tick)] == [(USD, 2 * USD)]
        assert read(desk, NOW - HOUR, NOW) == read(desk, NOW + tick, NOW + HOUR) == []


class TestRouting:
    @pytest.mark.parametrize(
        ("quotes", "charge", "saved"),
        [
            ((2 * USD, 5 * USD, 3 * USD), 2 * USD, 3 * USD),
            # What it was charged counts, not what was quoted.
            ((2 * USD, 5 * USD), 4 * USD, USD),
            # The dearest was taken.
            ((5 * USD, 2 * USD), 5 * USD, 0),
            # Dearer than the dearest quote: no saving, and no negative one.
            ((2 * USD, 5 * USD), 6 * USD, 0),
            # Nobody else could have been chosen, however cheap it came.
            ((7 * USD, None), 2 * USD, 0),
        ],
    )
    def test_it_saved_what_the_dearest_it_could_have_chosen_would_have_cost_more(
        self, desk: Desk, quotes: tuple[int | None, ...], charge: int, saved: int
    ) -> None:
        bought(desk, decision(*quotes), charge=charge)
        assert sum(one.saved_by_routing for one in read(desk)) == saved

    def test_a_render_that_failed_saved_nothing(self, desk: Desk) -> None:
        bought(desk, decision(2 * USD, 5 * USD), charge=USD, step=Step.FAIL)
        assert sum(one.saved_by_routing for one in read(desk)) == 0

    def test_it_is_the_same_saving_as_the_metric_tells(self, local_market: Market) -> None:
        local_market.approved(prefer="cost")
        local_market.run("job-1")
        local_market.pipeline.assemble(["job-1"])
        local_market.pipeline.deliver(["job-1"])
        local_market.pipeline.push_metrics()
        with local_market.ledger.read() as conn:
            told = sum(s.total for s in points.series(conn) if s.name == "savings" and s.labels == {"reason": "routing"})
        saved = sum(one.saved_by_routing for one in read(local_market))
        assert saved == round(told * USD) > 0


class TestRejected:
    def judged_bad(self, market: Market) -> None:
        market.bought()
        market.pipeline.score(["job-1"], 1)
        with market.ledger.write() as conn:
            conn.execute(update(qa_reports).values(verdict="rejected"))

    def test_what_a_rejected_take_was_charged_is_wasted(self, local_market: Market) -> None:
        self.judged_bad(local_market)
        assert sum(one.rejected for one in read(local_market)) == local_market.only().charged > 0

    def test_a_rejected_take_that_was_delivered_all_the_same_is_none(self, local_market: Market) -> None:
        local_market.bought()
        local_market.pipeline.score(["job-1"], 1)
        local_market.pipeline.assemble(["job-1"])
        local_market.pipeline.deliver(["job-1"])
        with local_market.ledger.write() as conn:
            conn.execute(update(qa_reports).values(verdict="rejected"))
        assert sum(one.rejected for one in read(local_market)) == 0


def test_a_take_used_again_saves_its_price_once_the_video_is_delivered(local_market: Market) -> None:
    market = local_market
    market.approved(shots=[{"prompt": "a lake", "seconds": 1}, {"prompt": "a boat", "seconds": 1}])
    market.run("job-1")
    market.pipeline.assemble(["job-1"])
    market.pipeline.deliver(["job-1"])
    market.pipeline.settle("run-1")
    market.pipeline.redo("job-1", shots=[2], base_version=1, by="ann")
    assert sum(one.saved_by_reuse for one in read(market)) == 0
    market.pipeline.carry(["job-1"], run_id="run-2")
    market.pipeline.ask("job-1", run_id="run-2")
    market.run("job-1")
    market.pipeline.assemble(["job-1"])
    market.pipeline.deliver(["job-1"])
    with market.ledger.read() as conn:
        assert sum(one.saved_by_reuse for one in read(market)) == results.saved(conn, "job-1") > 0
