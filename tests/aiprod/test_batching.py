"""Campaigns are approved once; what finds no slot or no money waits, in order of urgency, and is never lost."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiprod import batching
from aiprod.errors import JobFailed, SpecError
from aiprod.ledger import Ledger, queue
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.queue import Waiting
from aiprod.models import USD
from tests.market import Market


def rows(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"prompt": f"row {n}", "seconds": 1, **more} for n in range(count)]


def enlist(market: Market, orders: list[dict[str, Any]], *, amount: int = 100 * USD) -> list[str]:
    return market.pipeline.enlist(orders, campaign="spring", amount=amount, by="ann")


def waits(market: Market, *job_ids: str) -> dict[str, Waiting]:
    with market.ledger.read() as conn:
        return queue.waiting(conn, job_ids)


def run(market: Market, run_id: str = "run-b") -> list[str]:
    """One pass of `dispatch` and of the run that it starts; returns the jobs that were delivered."""
    batch = market.pipeline.next_batch()
    assert batch is not None
    job_ids = market.pipeline.carry(batch.job_ids, run_id=run_id)
    delivered = []
    try:
        market.run(*job_ids)
        market.pipeline.assemble(job_ids)
        delivered = [made.job_id for made in market.pipeline.deliver(job_ids)]
    finally:
        market.pipeline.settle(run_id)
    return delivered


class TestEnlist:
    def test_a_campaign_is_approved_once_and_its_jobs_wait(self, market: Market) -> None:
        assert enlist(market, rows(3)) == ["spring-1", "spring-2", "spring-3"]
        assert {w.reason for w in waits(market, "spring-1", "spring-2", "spring-3").values()} == {"campaign"}
        assert market.count("approvals WHERE answer = 'approved' AND answered_by = 'ann'") == 3
        assert market.count("purchases") == 0

    def test_the_same_rows_again_change_nothing(self, market: Market) -> None:
        enlist(market, rows(2))
        run(market)
        enlist(market, rows(2))
        assert market.pipeline.next_batch() is None
        assert (market.count("jobs"), len(market.accepts())) == (2, 2)

    @pytest.mark.parametrize(
        ("bad", "line"),
        [
            ({"prompt": ""}, "row 2: prompt: "),
            ({"prompt": "a", "seconds": 500}, "row 2: seconds: 500 s asked"),
            ({"prompt": "a", "preset": "premium_spot"}, "row 2: preset: premium_spot asks a person about every video"),
            ({"prompt": "a", "preset": "brand_campaign"}, "row 2: preset: brand_campaign asks a person about every video"),
        ],
    )
    def test_one_bad_row_is_named_and_nothing_is_written(self, local_market: Market, bad: dict[str, Any], line: str) -> None:
        with pytest.raises(SpecError) as refused:
            enlist(local_market, [*rows(1), bad])
        assert refused.value.problems[0].startswith(line)
        assert (local_market.count("jobs"), local_market.count("caps")) == (0, 0)

    def test_together_they_never_cost_more_than_the_campaign(self, market: Market) -> None:
        enlist(market, rows(5), amount=250_000)
        assert run(market) == ["spring-1", "spring-2"]
        assert market.balance("campaign", "spring").settled == 240_000
        left = waits(market, "spring-3", "spring-4", "spring-5")
        assert {w.reason for w in left.values()} == {"money"} and len(left) == 3
        assert "campaign spring has $0.01 left" in left["spring-3"].message

    def test_equally_urgent_rows_are_served_in_their_order(self, local_market: Market) -> None:
        job_ids = enlist(local_market, rows(12))
        batch = local_market.pipeline.next_batch()
        assert batch is not None and list(batch.job_ids) == job_ids
        assert local_market.pipeline.carry(sorted(job_ids), run_id="run-b") == job_ids


def test_every_example_campaign_can_be_enlisted(local_market: Market) -> None:
    files = sorted((Path(__file__).parents[2] / "examples" / "campaigns").glob("*.yaml"))
    assert files
    for file in files:
        orders = yaml.safe_load(file.read_text())
        assert len(local_market.pipeline.enlist(orders, campaign=file.stem, amount=USD, by="ann")) == len(orders)


class TestRouteOfABatch:
    def test_it_holds_at_most_twice_the_free_slots_and_the_rest_waits(self, market: Market) -> None:
        market.with_backend("runway", slots=2)
        job_ids = enlist(market, rows(7))
        market.pipeline.carry(job_ids, run_id="run-b")
        market.pipeline.route(job_ids, 1)
        assert market.count("purchases WHERE state = 'held'") == 4
        assert sorted(waits(market, *job_ids)) == ["spring-5", "spring-6", "spring-7"]

    def test_a_slot_in_use_is_not_free(self, market: Market) -> None:
        market.with_backend("runway", slots=2)
        market.bought("[[runway=slow:600]]", job_id="running")
        job_ids = enlist(market, rows(4))
        market.pipeline.carry(job_ids, run_id="run-b")
        market.pipeline.route(job_ids, 1)
        assert market.count("purchases WHERE state = 'held'") == 2

    def test_the_most_urgent_job_is_held_first(self, market: Market) -> None:
        market.with_backend("runway", slots=1)
        job_ids = enlist(market, [*rows(3), *rows(1, priority="high", job_id="urgent")])
        market.pipeline.carry(job_ids, run_id="run-b")
        market.pipeline.route(job_ids, 1)
        assert {p.job_id for j in job_ids for p in market.purchases(j)} == {"urgent", "spring-1"}

    def test_a_job_by_itself_is_held_whole(self, market: Market) -> None:
        market.with_backend("runway", slots=1)
        market.routed(shots=[{"prompt": f"{n}", "seconds": 1} for n in range(5)])
        assert market.count("purchases WHERE state = 'held'") == 5

    def test_what_waited_goes_with_the_next_run_until_all_are_delivered_and_none_twice(self, market: Market) -> None:
        market.with_backend("runway", slots=1)
        job_ids = enlist(market, rows(5))
        delivered = [run(market, f"run-{n}") for n in range(3)]
        assert delivered == [["spring-1", "spring-2"], ["spring-3", "spring-4"], ["spring-5"]]
        assert market.pipeline.next_batch() is None
        assert (len(market.accepts()), waits(market, *job_ids)) == (5, {})

    def test_a_bad_job_of_a_batch_does_not_stop_its_neighbours(self, market: Market) -> None:
        fails = {"prompt": "[[runway=fail]] [[veo3=reject]] [[replicate=moderated]]", "seconds": 1}
        enlist(market, [*rows(1), fails, *rows(1)])
        with pytest.raises(JobFailed, match="1 of 3 jobs were not delivered"):
            run(market)
        assert market.count("deliveries") == 2
        assert market.pipeline.next_batch() is None


class TestNextBatch:
    def test_a_job_about_which_a_person_is_asked_goes_alone(self, market: Market) -> None:
        enlist(market, rows(2))
        market.with_preset(second_review=True)
        first = market.pipeline.next_batch()
        assert first is not None and first.job_ids == ("spring-1",)

    def test_an_approval_that_ran_out_is_asked_for_in_a_run_of_its_own(self, market: Market) -> None:
        job_ids = enlist(market, rows(3))
        market.sql("UPDATE approvals SET expires_at = 1 WHERE job_id = 'spring-1'")
        first, second = market.pipeline.next_batch(), market.pipeline.next_batch()
        assert first is not None and first.job_ids == ("spring-1",)
        assert second is not None and second.job_ids == ("spring-2", "spring-3")
        assert market.pipeline.carry(job_ids, run_id="by-hand") == ["spring-2", "spring-3"]

    def test_nothing_starts_while_none_of_its_backends_has_room(self, market: Market) -> None:
        """The embedded preview has room, and is none of theirs."""
        for name in ("runway", "veo3", "replicate"):
            market.with_backend(name, slots=1)
            market.bought(f"[[{name}=slow:600]]", backend=name, job_id=f"busy-{name}")
        enlist(market, rows(2))
        assert market.pipeline.next_batch() is None

    def test_who_finds_room_does_not_wait_for_who_does_not(self, market: Market) -> None:
        market.with_backend("runway", slots=1)
        market.bought("[[runway=slow:600]]", backend="runway", job_id="busy")
        enlist(market, [*rows(1, backend="runway", priority="high"), *rows(1, backend="veo3")])
        batch = market.pipeline.next_batch()
        assert batch is not None and batch.job_ids == ("spring-2",)

    def test_a_run_gets_no_more_shots_than_there_is_room_for(self, market: Market) -> None:
        market.with_backend("runway", slots=1)
        enlist(market, rows(5, backend="runway"))
        batch = market.pipeline.next_batch()
        assert batch is not None and batch.job_ids == ("spring-1", "spring-2")

    def test_nothing_starts_while_purchasing_is_stopped(self, market: Market) -> None:
        enlist(market, rows(1))
        market.stop()
        assert market.pipeline.next_batch() is None

    def test_a_cancelled_job_waits_no_more(self, market: Market) -> None:
        enlist(market, rows(2))
        market.cancel("spring-1")
        batch = market.pipeline.next_batch()
        assert batch is not None and batch.job_ids == ("spring-2",)


class TestCarry:
    def test_a_job_nobody_entered_is_refused(self, local_market: Market) -> None:
        with pytest.raises(SpecError, match="batch: job nobody is not in the ledger"):
            local_market.pipeline.carry(["nobody"], run_id="run-b")

    def test_it_returns_the_most_urgent_first(self, local_market: Market) -> None:
        job_ids = enlist(local_market, [*rows(1, priority="low"), *rows(1), *rows(1, priority="high")])
        assert local_market.pipeline.carry(job_ids, run_id="run-b") == ["spring-3", "spring-2", "spring-1"]


class TestWaitingForTheDaysMoney:
    def spent(self, market: Market, usd: str = "0.12") -> None:
        """Today's budget is what is left for one more second at Runway, or less."""
        market.with_budgets(day_usd=Decimal(usd), day_warn_usd=Decimal(usd))

    def test_a_job_fails_at_the_cap_unless_it_says_otherwise(self, market: Market) -> None:
        self.spent(market, "0.01")
        market.approved()
        with pytest.raises(JobFailed, match=r"has \$0.01 left"):
            market.pipeline.route(["job-1"], 1)
        assert waits(market, "job-1") == {}

    def test_a_job_that_waits_is_picked_up_when_the_next_day_begins(self, market: Market) -> None:
        self.spent(market, "0.01")
        market.approved(at_cap="wait")
        with pytest.raises(JobFailed, match="waits for money and is picked up by itself from"):
            market.pipeline.route(["job-1"], 1)
        assert market.pipeline.score(["job-1"], 1).then == "waits"
        assert "waits for money" in market.pipeline.settle("run-1")[0]
        assert market.count("metric_outbox WHERE name = 'jobs'") == 0, "a job that waits has not ended"
        (entry,) = waits(market, "job-1").values()
        with market.ledger.read() as conn:
            tomorrow = (database_now(conn) + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        assert entry.due_at == tomorrow
        assert (
            f"waits for money and is picked up by itself from {tomorrow:%Y-%m-%d %H:%M} UTC"
            in market.pipeline.result("job-1")["waits"]
        )
        assert market.pipeline.next_batch() is None

        market.with_budgets(day_usd=100, day_warn_usd=90)
        market.sql("DELETE FROM caps WHERE kind = 'day'")
        market.age("queue", "due_at")
        assert run(market) == ["job-1"]
        assert waits(market, "job-1") == {}

    def test_shots_already_bought_are_kept_and_only_the_missing_one_is_bought_later(self, market: Market) -> None:
        self.spent(market)
        market.approved(at_cap="wait", shots=[{"prompt": "a", "seconds": 1}, {"prompt": "b", "seconds": 1}])
        market.run("job-1")
        assert len(market.accepts()) == 1
        market.pipeline.settle("run-1")
        market.sql("UPDATE caps SET cap = 100000000, set_by = 'ann' WHERE kind = 'day'")
        market.age("queue", "due_at")
        assert run(market) == ["job-1"]
        assert len(market.accepts()) == 2

    def test_waiting_cannot_help_when_it_is_the_jobs_own_budget_that_is_short(self, market: Market) -> None:
        market.approved("[[runway=fail-charged]]", at_cap="wait", budget_usd="0.20")
        with pytest.raises(JobFailed, match="the job's budget job-1 has"):
            market.run("job-1")
        assert waits(market, "job-1") == {}


def test_a_job_degrades_at_the_cap_only_where_it_asks_to(ledger: Ledger, market: Market) -> None:
    market.with_budgets(day_usd=Decimal("0.11"), day_warn_usd=Decimal("0.11"))
    for at_cap, chosen in (("fail", None), ("degrade", "replicate")):
        market.approved(job_id=at_cap, at_cap=at_cap, quality_floor=0.8)
        if chosen is None:
            with pytest.raises(JobFailed):
                market.pipeline.route([at_cap], 1)
        else:
            assert market.pipeline.route([at_cap], 1) == [chosen]


def test_a_run_that_was_asked_for_takes_its_room_before_it_holds_anything(market: Market) -> None:
    market.with_backend("runway", slots=1)
    enlist(market, rows(5, backend="runway"))
    assert batching.ready(market.ledger, market.catalog)
    assert market.pipeline.next_batch() is not None
    assert market.pipeline.next_batch() is None
    assert not batching.ready(market.ledger, market.catalog)


def test_a_campaign_cannot_approve_what_wants_another_person(local_market: Market) -> None:
    local_market.with_preset(approver_differs=True)
    with pytest.raises(SpecError, match="row 1: preset: quick_social wants another person's word than ann's"):
        local_market.pipeline.enlist([{"prompt": "a lake"}], campaign="spring", amount=10**8, by="ann")
    assert local_market.count("jobs") == 0
