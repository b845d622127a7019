"""Who makes which shot: one recorded choice, one hold, and never more than was approved."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from aiprod import sourcing
from aiprod.errors import FailureKind, JobFailed, PurchasingStopped, SubmitRejected
from aiprod.ledger import Ledger
from aiprod.models import USD, Accepted, RenderRequest
from tests.desk import race_of_processes
from tests.market import Market
from tests.vendor import Vendor

TWO_SHOTS = [{"prompt": f"shot {n}", "seconds": 1} for n in (1, 2)]


def _reasons(market: Market) -> dict[str, str]:
    """What the last decision holds against each backend; nothing against the chosen one."""
    return {c.backend: c.lost for c in market.decisions()[-1][2].candidates}


# --- one choice, one hold -------------------------------------------------------------------------------


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
    assert local_market.pipeline.route(["job-1"], 2) == ["veo3"]
    assert local_market.states() == [("runway", "succeeded"), ("veo3", "held")]


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (FailureKind.AUTH, "refused our credentials before"),
        (FailureKind.INVALID_INPUT, "refused this shot before"),
        (FailureKind.MODERATED, "moderated this shot before"),
        (FailureKind.QUOTA_EXHAUSTED, "is out of quota before"),
    ],
)
def test_who_would_say_the_same_again_is_not_asked_again(
    local_market: Market, monkeypatch: pytest.MonkeyPatch, kind: FailureKind, why: str
) -> None:
    def refuses(self: Vendor, request: RenderRequest, *, key: str) -> Accepted:
        raise SubmitRejected("HTTP 400", kind=kind)

    with monkeypatch.context() as refusing:
        refusing.setattr(Vendor, "submit", refuses)
        local_market.bought()
    assert local_market.pipeline.route(["job-1"], 2) == ["veo3"]
    assert _reasons(local_market)["runway"] == why


def test_a_backend_that_failed_the_shot_is_asked_again_only_after_the_others(market: Market) -> None:
    market.approved("a lighthouse [[runway=fail]] [[veo3=fail]] [[replicate=fail]]")
    market.run("job-1", rounds=4)
    assert [name for name, _ in market.states()] == ["runway", "veo3", "replicate", "runway"]
    assert {decision.chosen: decision.candidates[0].lost for _, _, decision in market.decisions()} == {
        "veo3": "tried before for this shot",
        "replicate": "tried before for this shot",
        "runway": "",
    }


# --- what stops a shot ----------------------------------------------------------------------------------


def _refusal(market: Market, round: int = 1) -> str:
    with pytest.raises(JobFailed) as refused:
        market.pipeline.route(["job-1"], round)
    return str(refused.value)


def test_attempts_per_shot_are_counted_over_every_round(local_market: Market) -> None:
    local_market.with_preset(attempts_per_shot=2)
    local_market.approved("a lighthouse [[runway=html]] [[veo3=fail-charged]]")
    local_market.run("job-1", rounds=2)
    assert "all 2 attempts of the approval are used" in _refusal(local_market, 3)
    assert len(local_market.accepts()) == 2


def test_a_free_failure_uses_up_no_attempt(local_market: Market) -> None:
    local_market.with_preset(attempts_per_shot=2)
    local_market.approved("a lighthouse [[runway=fail]] [[veo3=reject]]")
    local_market.run("job-1", rounds=3)
    assert local_market.states()[-1] == ("replicate", "succeeded")


def test_a_lost_answer_uses_up_an_attempt(mute_market: Market) -> None:
    mute_market.with_preset(attempts_per_shot=1)
    mute_market.bought("a lighthouse [[runway=lose]]")
    assert "all 1 attempts" in _refusal(mute_market, 2)


def test_the_envelope_stops_a_shot_and_is_named(market: Market) -> None:
    market.approved()
    market.sql("UPDATE approvals SET amount = 1000")
    assert "the envelope job-1/1/1 has $0.001 left" in _refusal(market)
    assert market.purchases() == []


def test_the_jobs_budget_stops_a_shot_and_is_named(market: Market) -> None:
    """Two envelopes of one job never add up to more than its budget."""
    market.approved("a lighthouse [[runway=fail-charged]] [[veo3=fail-charged]] [[replicate=fail-charged]]", budget_usd="0.13")
    market.run("job-1", rounds=1)
    market.pipeline.settle("run-1")
    assert market.pipeline.ask("job-1", run_id="run-1").amount == 10_000
    market.sql("UPDATE approvals SET amount = :much", much=5 * USD)
    assert "the job's budget job-1 has $0.01 left" in _refusal(market, 2)
    assert market.balance().settled == 120_000


def test_the_days_budget_stops_a_shot_and_is_named(market: Market) -> None:
    market.with_budgets(day_usd="0.15")
    market.bought()
    market.approved(job_id="job-2")
    with pytest.raises(JobFailed, match=r"runway: costs \$0\.12, the day's budget \d{4}-\d\d-\d\d@UTC has \$0\.03 left"):
        market.pipeline.route(["job-2"], 1)
    assert market.purchases("job-2") == []
    assert len(market.accepts()) == 1


def test_a_projects_budget_stops_its_jobs_and_no_others_and_is_named(market: Market) -> None:
    market.with_budgets(project_usd={"acme": "0.10"})
    market.approved(project="acme", backend="runway")
    assert "runway: costs $0.12, project acme has $0.10 left" in _refusal(market)
    assert market.purchases() == []
    market.approved(job_id="job-2")
    assert market.pipeline.route(["job-2"], 1) == ["runway"]


def test_of_two_shots_only_as_many_are_held_as_there_is_money_for(market: Market) -> None:
    market.approved(shots=TWO_SHOTS, backend="runway")
    market.with_budgets(day_usd="0.13")
    routed = sourcing.route_job(market.ledger, market.catalog, "job-1", 1, 1)
    assert routed.backends == ("runway",)
    (refusal,) = routed.refused
    assert "the day's budget" in refusal and "has $0.01 left" in refusal
    assert [(p.shot, p.state) for p in market.purchases()] == [(1, "held")]


def test_a_backends_own_cap_moves_the_shot_on(market: Market) -> None:
    market.with_budgets(backend_day_usd={"runway": "0.10"})
    market.routed()
    assert market.states() == [("veo3", "held")]
    assert "the day's budget of runway" in str(market.decisions()[0][2])


def test_jobs_that_race_for_the_last_dollar_never_hold_more_than_there_is(market: Market) -> None:
    market.with_budgets(day_usd="0.25")
    market.with_backend("veo3", adapter=None)
    market.with_backend("replicate", adapter=None)
    for n in range(4):
        market.approved(job_id=f"job-{n}")
    race_of_processes(4, lambda n: market.pipeline.route([f"job-{n}"], 1))
    held = [p.hold for n in range(4) for p in market.purchases(f"job-{n}")]
    assert held == [120_000, 120_000]


def test_what_nobody_can_take_is_recorded_with_every_reason(local_market: Market) -> None:
    local_market.approved()
    local_market.sql("UPDATE approvals SET amount = 1000")
    _refusal(local_market)
    ((_, purchase_id, decision),) = local_market.decisions()
    assert purchase_id is None and decision.chosen is None
    assert all("the envelope" in c.lost for c in decision.candidates)


def test_without_an_approval_nothing_is_held(local_market: Market) -> None:
    local_market.order(preset="brand_campaign")
    assert "has no approval" in _refusal(local_market)
    assert local_market.purchases() == []


def test_an_approval_that_ran_out_holds_nothing(market: Market) -> None:
    market.approved()
    market.age("approvals", "expires_at")
    assert "the approval of job job-1 ran out at" in _refusal(market)
    assert market.purchases() == []


def test_a_cancelled_job_holds_nothing(local_market: Market) -> None:
    local_market.approved()
    local_market.cancel()
    assert "job-1 was cancelled by somebody" in _refusal(local_market)


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
        sourcing.route_job(market.ledger, market.catalog, "job-1", 1, 1)
    assert market.purchases() == [] and market.decisions() == []


def test_a_backend_that_the_approval_does_not_name_is_never_asked(local_market: Market) -> None:
    local_market.approved("a lighthouse [[veo3=fail]]")
    local_market.sql("""UPDATE approvals SET backends = '["veo3"]'""")
    assert local_market.pipeline.route(["job-1"], 1) == ["veo3"]
    local_market.render("veo3")
    local_market.pipeline.score(["job-1"], 1)
    assert local_market.pipeline.route(["job-1"], 2) == ["veo3"]


def test_an_approval_of_one_version_buys_nothing_of_another(market: Market) -> None:
    market.approved()
    market.edit()
    assert "version 2 has no approval" in _refusal(market)
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


def test_a_floor_keeps_backends_out_that_are_expected_below_it(local_market: Market) -> None:
    local_market.approved("a lighthouse [[runway=fail]]", quality_floor=0.93)
    local_market.with_preset(may_degrade=False)
    local_market.run("job-1", rounds=1)
    local_market.pipeline.route(["job-1"], 2)
    assert local_market.states() == [("runway", "failed"), ("runway", "held")]


def test_a_floor_that_nobody_meets_stops_the_shot_where_the_preset_allows_no_less(local_market: Market) -> None:
    local_market.approved(quality_floor=0.99)
    local_market.with_preset(may_degrade=False)
    assert "is below the floor of 0.99" in _refusal(local_market)
    assert local_market.purchases() == []


def test_a_backend_that_rested_is_probed_by_one_job_and_by_no_second(market: Market) -> None:
    for n in (1, 2, 3):
        market.bought("a lighthouse [[runway=fail]]", job_id=f"bad-{n}")
    market.age("backend_health", "unhealthy_since")
    market.routed(job_id="probe")
    market.routed(job_id="behind")
    assert market.states("probe") == [("runway", "held")]
    assert market.states("behind") == [("veo3", "held")]


def test_an_unhealthy_backend_is_left_alone(market: Market) -> None:
    market.approved()
    market.sql("INSERT INTO backend_health (backend, strikes, unhealthy_since) VALUES ('runway', 3, :us)", us=2**52)
    assert market.pipeline.route(["job-1"], 1) == ["veo3"]
    assert "runway: unhealthy" in str(market.decisions()[0][2])


def test_three_failures_in_a_row_send_the_next_job_elsewhere(local_market: Market) -> None:
    for n in (1, 2, 3):
        local_market.bought("a lighthouse [[runway=fail]]", job_id=f"bad-{n}")
    local_market.routed(job_id="good")
    assert local_market.states("good") == [("veo3", "held")]


def test_a_backend_whose_key_went_away_is_passed_over(local_market: Market) -> None:
    local_market.approved()
    local_market.with_backend("runway", needs=("A_KEY_NOBODY_SET",))
    assert local_market.pipeline.route(["job-1"], 1) == ["veo3"]
    assert "A_KEY_NOBODY_SET is not set" in str(local_market.decisions()[0][2])


@pytest.mark.parametrize(("prefer", "chosen"), [("quality", "runway"), ("speed", "replicate"), ("cost", "replicate")])
def test_the_preference_of_the_order_decides(local_market: Market, prefer: str, chosen: str) -> None:
    local_market.approved(prefer=prefer)
    assert local_market.pipeline.route(["job-1"], 1) == [chosen]


def test_the_embedded_preview_is_configured_without_any_key(local_market: Market) -> None:
    for name in ("runway", "veo3", "replicate"):
        local_market.with_backend(name, adapter=None)
    assert sourcing.configured(local_market.catalog) == ("animatic",)
