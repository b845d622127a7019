"""Who makes which shot: every choice is recorded with its reasons, and no choice is made or paid for twice."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aiprod.errors import PurchasingStopped
from aiprod.sourcing import Routed, route_job
from tests.market import Market


def routed(market: Market, *, round: int = 1, job_id: str = "job-1") -> Routed:
    return route_job(market.ledger, market.catalog, job_id, 1, round)


def why_not(market: Market, backend: str) -> str:
    """What the last decision holds against a backend."""
    _, _, decision = market.decisions()[-1]
    return next(c.lost for c in decision.candidates if c.backend == backend)


class TestDecision:
    def test_every_candidate_leaves_with_its_reason_and_the_winner_with_its_hold(self, market: Market) -> None:
        market.approved()
        assert routed(market) == Routed(backends=("runway",))

        ((round, purchase_id, decision),) = market.decisions()

        assert (round, purchase_id) == (1, market.only().purchase_id)
        assert {c.backend: c.lost for c in decision.candidates} == {
            "runway": "",
            "veo3": "lower expected quality",
            "replicate": "lower expected quality",
        }
        assert str(decision).startswith("Shot 1 goes to runway (gen4.5) for $0.12: best expected quality.")

    def test_routing_again_decides_and_holds_nothing_more(self, market: Market) -> None:
        market.approved()
        assert [routed(market).backends for _ in range(3)] == [("runway",)] * 3
        assert (len(market.decisions()), len(market.purchases())) == (1, 1)

    def test_a_paid_take_that_nobody_judged_keeps_its_shot(self, market: Market) -> None:
        market.bought()
        assert routed(market, round=2).backends == ("runway",)
        assert len(market.purchases()) == 1

    @pytest.mark.parametrize(("prefer", "chosen"), [("quality", "runway"), ("speed", "replicate"), ("cost", "replicate")])
    def test_the_job_says_what_it_prefers(self, local_market: Market, prefer: str, chosen: str) -> None:
        local_market.approved(prefer=prefer)
        assert routed(local_market).backends == (chosen,)


class TestFallback:
    def test_a_backend_that_failed_the_shot_goes_last(self, market: Market) -> None:
        market.bought("[[runway=fail]]")
        assert routed(market, round=2).backends == ("veo3",)
        assert why_not(market, "runway") == "tried before for this shot"

    def test_a_backend_that_moderated_the_shot_is_not_asked_again(self, market: Market) -> None:
        market.bought("[[runway=moderated]]", backend="runway")
        assert routed(market, round=2).backends == ()
        assert why_not(market, "runway") == "moderated this shot before"

    def test_what_may_have_been_charged_uses_up_an_attempt(self, market: Market) -> None:
        market.with_preset(attempts_per_shot=1)
        market.bought("[[runway=fail-charged]]")
        assert routed(market, round=2).backends == ()
        assert why_not(market, "veo3") == "all 1 attempts of the approval are used"

    def test_what_was_refused_before_anything_ran_uses_up_none(self, market: Market) -> None:
        market.with_preset(attempts_per_shot=1)
        market.bought("[[runway=reject]]")
        assert routed(market, round=2).backends == ("veo3",)

    def test_a_parked_purchase_lets_the_shot_be_bought_elsewhere_with_a_hold_of_its_own(self, mute_market: Market) -> None:
        mute_market.bought("[[runway=lose]]")
        assert routed(mute_market, round=2).backends == ("veo3",)
        assert [p.state for p in mute_market.purchases()] == ["unknown", "held"]
        assert mute_market.balance().reserved == sum(p.hold for p in mute_market.purchases())


class TestMoney:
    @pytest.mark.parametrize(
        ("spec", "budgets", "cap"),
        [
            ({"budget_usd": 0.1}, {}, "the job's budget job-1"),
            ({"project": "acme"}, {"project_usd": {"acme": Decimal("0.1")}}, "project acme"),
            ({}, {"day_usd": Decimal("0.1"), "day_warn_usd": Decimal("0.1")}, "the day's budget"),
            ({}, {"backend_day_usd": {"runway": Decimal("0.1")}}, "the day's budget of runway"),
        ],
    )
    def test_the_cap_that_stops_a_backend_is_named(
        self, market: Market, spec: dict[str, Any], budgets: dict[str, Any], cap: str
    ) -> None:
        market.approved(**spec)
        market.with_budgets(**budgets)
        routed(market)
        assert why_not(market, "runway").startswith(f"costs $0.12, {cap}")

    def test_the_envelope_is_a_cap(self, market: Market) -> None:
        market.approved()
        market.sql("UPDATE approvals SET amount = 100000")
        routed(market)
        assert "the envelope job-1/1/1 has $0.10 left" in why_not(market, "runway")

    def test_two_shots_cannot_both_have_the_last_dollar(self, market: Market) -> None:
        market.with_budgets(day_usd=Decimal("0.13"), day_warn_usd=Decimal("0.13"))
        market.approved(shots=[{"prompt": "a", "seconds": 1}, {"prompt": "b", "seconds": 1}], backend="runway")
        assert len(routed(market).refused) == 1
        assert len(market.purchases()) == 1


class TestQualityAndHealth:
    def test_a_floor_that_nothing_meets_fails_the_shot_unless_the_preset_allows_less(self, local_market: Market) -> None:
        local_market.approved(quality_floor=0.99)
        local_market.with_preset(may_degrade=False)
        assert routed(local_market).backends == ()
        local_market.with_preset(may_degrade=True)
        assert routed(local_market).backends == ("runway",)
        assert local_market.decisions()[-1][2].degraded

    def test_an_unhealthy_backend_is_passed_over_until_one_caller_may_probe_it(self, market: Market) -> None:
        for n in range(3):
            market.bought("[[runway=fail]]", job_id=f"sick-{n}")
        market.approved(job_id="next")
        assert routed(market, job_id="next").backends == ("veo3",)

        market.age("backend_health", "unhealthy_since")
        for job_id in ("probe", "behind"):
            market.approved(job_id=job_id)
        assert routed(market, job_id="probe").backends == ("runway",)
        assert routed(market, job_id="behind").backends == ("veo3",)


class TestStopped:
    def test_a_job_nobody_approved_holds_nothing(self, market: Market) -> None:
        market.order()
        with pytest.raises(PurchasingStopped, match="has no approval"):
            routed(market)
        assert market.purchases() == []

    def test_cancel_kill_switch_and_expiry_stop_the_hold(self, market: Market) -> None:
        for stop, words in (
            (market.cancel, "was cancelled by somebody"),
            (market.stop, "purchasing is stopped: a test says so"),
            (lambda: market.age("approvals", "expires_at"), "purchasing is stopped"),
        ):
            if not market.count("approvals"):
                market.approved()
            stop()
            with pytest.raises(PurchasingStopped, match=words):
                routed(market)
        assert market.purchases() == []
