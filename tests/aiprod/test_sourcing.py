"""Who makes which shot: one recorded choice, one hold, and never more than was approved."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import event

from aiprod import sourcing
from aiprod.errors import PurchasingStopped, StaleState
from aiprod.ledger import Ledger, gates, purchases
from tests.desk import race_of_processes
from tests.market import Market

TWO_SHOTS = [{"prompt": f"shot {n}", "seconds": 1} for n in (1, 2)]


# --- one choice, one hold -------------------------------------------------------------------------------


def route(market: Market) -> sourcing.Routed:
    """The first attempt of the one job. Raises what came of it."""
    routed = sourcing.route_jobs(market.ledger, market.catalog, {"job-1": 1}, 1)["job-1"]
    if isinstance(routed, Exception):
        raise routed
    return routed


def test_a_choice_is_recorded_once_with_every_candidate_and_its_reason(local_market: Market) -> None:
    local_market.routed()
    ((round, purchase_id, decision),) = local_market.decisions()
    assert (round, purchase_id) == (1, local_market.only().purchase_id)
    assert {c.backend: c.lost for c in decision.candidates} == {
        "runway": "",
        "veo3": "lower expected quality",
        "replicate": "lower expected quality",
    }
    assert decision.quote == local_market.only().hold


def test_routing_again_places_no_second_hold_and_makes_no_second_choice(market: Market) -> None:
    market.routed()
    assert [market.pipeline.route(["job-1"], round) for round in (1, 1, 2)] == [["runway"]] * 3
    assert market.states() == [("runway", "held")]
    assert len(market.decisions()) == 1


def test_processes_that_route_at_the_same_moment_place_one_hold_and_all_go_on(market: Market) -> None:
    market.approved()
    assert race_of_processes(4, lambda n: market.pipeline.route(["job-1"], 1)) == [["runway"]] * 4
    assert market.states() == [("runway", "held")]
    assert len(market.decisions()) == 1


def test_a_process_that_slept_over_the_job_buys_nothing_more(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """It saw that the shot has no take, and was stopped; meanwhile another process brought one."""
    market.approved()
    real = sourcing.shots_without_take
    asleep = [True]

    def seen_before_it_slept(conn: Any, job_id: str, version: int) -> list[int]:
        if asleep.pop() if asleep else False:
            return [1]
        return real(conn, job_id, version)

    monkeypatch.setattr(sourcing, "shots_without_take", real)
    market.run("job-1")
    monkeypatch.setattr(sourcing, "shots_without_take", seen_before_it_slept)
    assert market.pipeline.route(["job-1"], 1) == []
    assert market.states() == [("runway", "succeeded")]
    assert len(market.accepts()) == 1


@pytest.mark.postgres
def test_a_shot_that_another_process_finishes_while_this_one_looks_is_not_bought_again(
    postgres_url: str, open_market: Callable[[Ledger, str], Market], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every statement there sees what was committed before it, so two looks may see two worlds. SQLite lets only one in."""
    market = open_market(Ledger(postgres_url), "ListingVendor")
    market.approved()
    real, between = sourcing.database_now, [True]

    def somebody_else_is_done_by_now(conn: Any) -> datetime:
        if between:
            between.clear()
            market.run("job-1", rounds=1)
        return real(conn)

    monkeypatch.setattr(sourcing, "database_now", somebody_else_is_done_by_now)
    market.pipeline.route(["job-1"], 1)
    assert market.states() == [("runway", "succeeded")]
    assert len(market.decisions()) == 1


@pytest.mark.postgres
def test_a_take_that_is_accepted_between_two_looks_is_not_bought_again(
    postgres_url: str, open_market: Callable[[Ledger, str], Market], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing at the first look, judged at the second: neither missing nor underway. Found by `make safety`."""
    market = open_market(Ledger(postgres_url), "ListingVendor")
    market.bought()
    real = sourcing._underway

    def judged_by_now(*args: Any) -> object:
        market.pipeline.score(["job-1"], 1)
        return real(*args)

    monkeypatch.setattr(sourcing, "_underway", judged_by_now)
    market.pipeline.route(["job-1"], 2)
    assert market.states() == [("runway", "succeeded")]


def test_every_shot_gets_a_purchase_of_its_own(market: Market) -> None:
    market.routed(shots=TWO_SHOTS)
    assert [(p.shot, p.sequence, p.state) for p in market.purchases()] == [(1, 1, "held"), (2, 1, "held")]
    assert market.balance().reserved == sum(p.hold for p in market.purchases())


def test_a_paid_take_that_nobody_judged_is_not_replaced(market: Market) -> None:
    market.bought()
    assert market.pipeline.route(["job-1"], 2) == ["runway"]
    assert market.states() == [("runway", "succeeded")]


def test_a_rejected_take_is_bought_again_elsewhere(local_market: Market) -> None:
    local_market.bought("a lighthouse [[runway=html]]")
    assert local_market.pipeline.score(["job-1"], 1).then == "again"
    assert local_market.pipeline.route(["job-1"], 2) == ["replicate"]
    assert local_market.states() == [("runway", "succeeded"), ("replicate", "held")]
    assert "expected gain per dollar is best" in str(local_market.decisions()[-1][2])


def test_of_two_shots_only_as_many_are_held_as_there_is_money_for(market: Market) -> None:
    market.approved(shots=TWO_SHOTS, backend="runway")
    market.with_budgets(day_usd="0.13")
    routed = route(market)
    assert routed.backends == ("runway",)
    (refusal,) = routed.refused
    assert "the day's budget" in refusal and "has $0.01 left" in refusal
    assert [(p.shot, p.state) for p in market.purchases()] == [(1, "held")]


def test_a_job_of_ten_shots_is_decided_on_and_held_in_one_transaction(market: Market) -> None:
    market.with_preset(auto_approve_usd="100")
    market.approved(shots=[{"prompt": f"shot {n}", "seconds": 1} for n in range(1, 11)])
    commits: list[object] = []
    event.listen(market.ledger.engine, "commit", lambda conn: commits.append(conn))
    routed = route(market)
    assert routed == sourcing.Routed(backends=("runway",))
    assert len(commits) == 1
    assert sorted(d.shot for _, _, d in market.decisions()) == sorted(p.shot for p in market.purchases()) == list(range(1, 11))
    assert market.balance().reserved == sum(p.hold for p in market.purchases())


def test_a_shot_is_decided_on_what_those_before_it_leave(market: Market) -> None:
    """All three in one transaction: the first two at the best backend, the third where the rest of the money goes."""
    market.with_budgets(day_usd="0.35")
    market.approved(shots=[{"prompt": f"shot {n}", "seconds": 1} for n in (1, 2, 3)])
    market.pipeline.route(["job-1"], 1)
    assert [name for name, _ in market.states()] == ["runway", "runway", "replicate"]
    lost = market.decisions()[2][2].candidates[0].lost
    assert re.fullmatch(r"costs \$0\.12, the day's budget \d{4}-\d\d-\d\d@UTC has \$0\.11 left", lost or "")


def test_of_the_jobs_of_a_batch_the_first_one_has_the_money_first_and_each_has_its_own_answer(market: Market) -> None:
    market.with_budgets(day_usd="0.30")
    for n in (1, 2, 3):
        market.approved(job_id=f"job-{n}", backend="runway")
    market.approved(job_id="job-0")
    market.cancel("job-0")
    versions = dict.fromkeys(("job-2", "job-0", "job-3", "job-1"), 1)
    found = sourcing.route_jobs(market.ledger, market.catalog, versions, 1, batch=True)
    assert list(found) == list(versions)
    assert isinstance(found["job-0"], PurchasingStopped)
    told = {job_id: (r.backends, len(r.refused)) for job_id, r in found.items() if isinstance(r, sourcing.Routed)}
    assert told == {"job-2": (("runway",), 0), "job-3": (("runway",), 0), "job-1": ((), 1)}
    assert [len(market.decisions(f"job-{n}")) for n in range(4)] == [0, 1, 1, 1]


def test_when_one_loses_a_race_those_after_it_that_were_found_nobody_are_decided_again(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first was to take all the money there is, and its job is cancelled meanwhile: the second has it then."""
    market.with_budgets(day_usd="0.13")
    for n in (1, 2):
        market.approved(job_id=f"job-{n}", backend="runway")
    real, seen = purchases.hold_all, []

    def lost_at_first(conn: Any, news: Any, **options: Any) -> Any:
        seen.append([new.envelope.job_id for new in news])
        if len(seen) > 1:
            return real(conn, news, **options)
        gates.cancel_job(conn, "job-1", by="somebody", now=options["now"])
        return [StaleState("the ledger moved on") for _ in news]

    monkeypatch.setattr(purchases, "hold_all", lost_at_first)
    found = sourcing.route_jobs(market.ledger, market.catalog, {"job-1": 1, "job-2": 1}, 1)
    assert seen == [["job-1"], ["job-1"], ["job-2"]]
    assert isinstance(found["job-1"], PurchasingStopped)
    assert [p.state for p in market.purchases("job-2")] == ["held"]
    assert [d.chosen for _, _, d in market.decisions("job-2")] == ["runway"]


def test_jobs_that_race_for_the_last_dollar_never_hold_more_than_there_is(market: Market) -> None:
    market.with_budgets(day_usd="0.25")
    market.with_backend("veo3", adapter=None)
    market.with_backend("replicate", adapter=None)
    for n in range(4):
        market.approved(job_id=f"job-{n}")
    race_of_processes(4, lambda n: market.pipeline.route([f"job-{n}"], 1))
    held = [p.hold for n in range(4) for p in market.purchases(f"job-{n}")]
    assert held == [120_000, 120_000]


def test_without_an_approval_nothing_is_held(local_market: Market) -> None:
    local_market.order(preset="brand_campaign")
    assert "has no approval" in local_market.refusal()
    assert local_market.purchases() == []


def test_an_approval_that_ran_out_holds_nothing(market: Market) -> None:
    market.approved()
    market.age("approvals", "expires_at")
    assert "the approval of job job-1 ran out at" in market.refusal()
    assert market.purchases() == []


def test_a_cancelled_job_holds_nothing(local_market: Market) -> None:
    local_market.approved()
    local_market.cancel()
    assert "job-1 was cancelled by somebody" in local_market.refusal()


@pytest.mark.parametrize(
    ("shut", "why"),
    [
        (Market.cancel, "job-1 was cancelled by somebody"),
        (Market.stop, "purchasing is stopped: a test says so"),
        (lambda m: m.age("approvals", "expires_at"), "ran out at"),
        (lambda m: m.sql("DELETE FROM approvals"), "has no approval"),
    ],
    ids=["cancelled", "kill switch", "approval ran out", "not approved"],
)
def test_a_shut_door_stops_the_whole_job_before_anything_is_held_or_decided(
    market: Market, shut: Callable[[Market], None], why: str
) -> None:
    market.approved()
    shut(market)
    with pytest.raises(PurchasingStopped, match=why):
        route(market)
    assert market.purchases() == [] and market.decisions() == []


def test_an_approval_of_one_version_buys_nothing_of_another(market: Market) -> None:
    market.approved()
    market.edit()
    assert "version 2 has no approval" in market.refusal()
    assert market.purchases() == market.purchases(version=2) == []


# --- quality, health, preference ------------------------------------------------------------------------


def test_a_floor_that_nobody_meets_is_degraded_where_the_preset_allows_and_the_delivery_says_so(local_market: Market) -> None:
    local_market.approved(quality_floor=0.99)
    local_market.run("job-1")
    local_market.pipeline.assemble(["job-1"])
    (delivery,) = local_market.pipeline.deliver(["job-1"])
    assert "shot 1 was made below the quality floor" in delivery.labels


def test_what_is_bought_again_below_the_floor_says_so_too(local_market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    local_market.routed("a lighthouse", quality_floor=0.99)
    held = local_market.only()
    local_market.sql("UPDATE purchases SET state = 'submitting', lease_until = 0, submitted_at = 0, expires_at = NULL")
    local_market.run("job-1", rounds=1)
    assert [p.purchase_id == held.purchase_id for p in local_market.purchases()] == [True, False]
    local_market.pipeline.assemble(["job-1"])
    (delivery,) = local_market.pipeline.deliver(["job-1"])
    assert "shot 1 was made below the quality floor" in delivery.labels


def test_a_backend_that_rested_is_probed_by_one_job_and_by_no_second(market: Market) -> None:
    for n in (1, 2, 3):
        market.bought("a lighthouse [[runway=fail]]", job_id=f"bad-{n}")
    market.age("backend_health", "unhealthy_since")
    market.routed(job_id="probe")
    market.routed(job_id="behind")
    assert market.states("probe") == [("runway", "held")]
    assert market.states("behind") == [("veo3", "held")]
