"""Caps set by hand: they stand before the configuration, count what was bought before, and never widen by accident."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from aiprod.budgets import Scope
from aiprod.errors import BudgetExceeded, SpecError
from aiprod.ledger import campaigns, jobs, limits
from aiprod.ledger.audit import audit
from aiprod.ledger.states import Step
from aiprod.models import USD, JobSpec
from tests.desk import NOW, errors, race

DAY = timedelta(days=1)
SPEC = JobSpec(prompt="a", project="acme", budget_usd=Decimal(1_000_000))


def put(desk, scope, dollars, *, by="ann", now=NOW, **options):
    with desk.ledger.write() as conn:
        return limits.set_cap(conn, Scope.parse(scope), int(dollars * USD), by=by, catalog=desk.catalog, now=now, **options)


def clear(desk, scope, *, now=NOW):
    with desk.ledger.write() as conn:
        return limits.clear_cap(conn, Scope.parse(scope), by="ann", catalog=desk.catalog, now=now)


def wanted(desk, envelope, *, now=NOW, backend="runway"):
    with desk.ledger.read() as conn:
        rules = limits.in_force(conn, desk.catalog, envelope.job_id, now=now)
    return rules.caps(spec=SPEC, job_id=envelope.job_id, envelope=envelope, backend=backend, catalog=desk.catalog, now=now)


def hold(desk, envelope, *, shot=1, dollars=10, now=NOW, backend="runway"):
    found = wanted(desk, envelope, now=now, backend=backend)
    return desk.hold(envelope, shot=shot, amount=int(dollars * USD), limits=found, now=now, backend=backend)


def acme(desk, job_id="job-1"):
    """An order of project acme."""
    envelope = desk.order(job_id, expires_at=NOW + 30 * DAY)
    with desk.ledger.write() as conn:
        campaigns.approve(conn, "spring", 1_000 * USD, by="bob")
    with desk.ledger.write() as conn:
        conn.exec_driver_sql(f"UPDATE jobs SET project = 'acme', campaign = 'spring' WHERE job_id = '{job_id}'")  # noqa: S608
    return envelope


class TestScopes:
    @pytest.mark.parametrize("text", ["day", "project:acme", "backend:veo3", "campaign:spring-26", "job:job-1"])
    def test_a_scope_reads_as_it_was_typed(self, text):
        assert str(Scope.parse(text)) == text

    @pytest.mark.parametrize(
        "text", ["", "days", "day:2026", "project", "project:", "Project:acme", "job:../etc", "envelope:1", "job:a b"]
    )
    def test_what_is_no_scope_is_refused_in_one_line(self, text):
        with pytest.raises(SpecError, match="is no cap: say day") as refused:
            Scope.parse(text)
        assert len(refused.value.problems) == 1


class TestSetting:
    @pytest.mark.parametrize("scope", ["day", "project:acme", "backend:runway", "campaign:spring", "job:job-1"])
    def test_a_cap_set_by_hand_is_met_exactly_and_one_micro_dollar_more_is_not(self, desk, scope):
        envelope = acme(desk)
        put(desk, scope, 25)
        hold(desk, envelope, dollars=20)
        with pytest.raises(BudgetExceeded, match=r"\$5\.00 left"):
            hold(desk, envelope, shot=2, dollars=Decimal("5.000001"))
        hold(desk, envelope, shot=2, dollars=5)

    def test_it_may_be_wider_than_the_configuration(self, desk):
        envelope = acme(desk)
        put(desk, "day", 150)
        hold(desk, envelope, dollars=149)

    @pytest.mark.parametrize("scope", ["project:acme", "backend:runway", "campaign:spring", "job:job-1", "day"])
    def test_what_was_bought_before_the_cap_was_set_counts(self, desk, scope):
        envelope = acme(desk)
        hold(desk, envelope, dollars=7)
        paid = desk.bring(hold(desk, envelope, shot=2, dollars=10).purchase_id, "submitted")
        desk.close(paid.purchase_id, Step.SUCCEED, charge=12 * USD)
        found = put(desk, scope, 20)
        assert (found.reserved, found.settled, found.free) == (7 * USD, 12 * USD, USD)
        with pytest.raises(BudgetExceeded):
            hold(desk, envelope, shot=3, dollars=2)

    def test_what_others_bought_does_not_count(self, desk):
        acme(desk)
        other = desk.order("job-2")
        hold(desk, other, dollars=7, backend="veo3")
        assert put(desk, "project:acme", 20).reserved == 0
        assert put(desk, "backend:runway", 20).reserved == 0

    def test_yesterdays_purchases_are_not_todays_use_of_a_backend(self, desk):
        envelope = acme(desk)
        hold(desk, envelope, dollars=7)
        assert put(desk, "backend:runway", 20, now=NOW + DAY).reserved == 0

    def test_what_was_counted_late_is_settled_where_it_was_counted(self, desk):
        envelope = acme(desk)
        bought = desk.bring(hold(desk, envelope, dollars=7).purchase_id, "submitted")
        put(desk, "project:acme", 20)
        desk.close(bought.purchase_id, Step.SUCCEED, charge=9 * USD)
        found = desk.balance("project", "acme")
        assert (found.reserved, found.settled) == (0, 9 * USD)

    def test_setting_it_twice_counts_nothing_twice(self, desk):
        envelope = acme(desk)
        hold(desk, envelope, dollars=7)
        put(desk, "project:acme", 20)
        assert put(desk, "project:acme", 30).reserved == 7 * USD

    def test_zero_closes_it(self, desk):
        envelope = acme(desk)
        put(desk, "day", 0)
        with pytest.raises(BudgetExceeded):
            hold(desk, envelope, dollars=Decimal("0.000001"))

    def test_a_cap_lowered_below_its_use_closes_and_what_runs_is_paid(self, desk):
        envelope = acme(desk)
        running = desk.bring(hold(desk, envelope, dollars=60).purchase_id, "submitted")
        found = put(desk, "day", 50)
        assert (found.free, found.overrun) == (-10 * USD, 10 * USD)
        with pytest.raises(BudgetExceeded):
            hold(desk, envelope, shot=2, dollars=Decimal("0.000001"))
        assert desk.close(running.purchase_id, Step.SUCCEED, charge=60 * USD)
        assert desk.balance("day", "2026-11-23@UTC").overrun == 10 * USD

    def test_every_setting_is_told_with_who_and_what_it_found(self, desk):
        envelope = acme(desk)
        hold(desk, envelope, dollars=60)
        put(desk, "day", 50, by="eve")
        told = [json.loads(e["payload"]) for e in desk.rows("outbox")["outbox"] if e["topic"] == "budget_set"]
        assert [(t["scope"], t["by"], t["cap_micros"], t["overrun_micros"]) for t in told] == [("day", "eve", 50 * USD, 10 * USD)]

    def test_a_backend_or_job_nobody_knows_is_refused_and_changes_nothing(self, desk):
        for scope in ("backend:runaway", "job:ghost", "campaign:ghost"):
            with pytest.raises(SpecError):
                put(desk, scope, 1)
        assert desk.rows("caps", "meta", "outbox") == {"caps": [], "meta": [], "outbox": []}

    def test_only_a_days_cap_can_be_set_for_today_alone(self, desk):
        with pytest.raises(SpecError, match="only the caps of a day"):
            put(desk, "project:acme", 1, today_only=True)

    def test_the_warning_line_keeps_its_share(self, desk):
        envelope = acme(desk)
        put(desk, "day", 50)
        hold(desk, envelope, dollars=44)
        assert "budget_warning" not in desk.topics()
        hold(desk, envelope, shot=2, dollars=1)
        assert "budget_warning" in desk.topics()

    def test_admins_who_set_the_same_cap_at_once_leave_one_row_that_counts_once(self, desk):
        envelope = acme(desk)
        hold(desk, envelope, dollars=7)
        assert errors(race(4, lambda n: put(desk, "project:acme", 10 + n, by=f"admin-{n}"))) == []
        assert desk.balance("project", "acme").reserved == 7 * USD

    def test_an_admin_and_buyers_at_once_never_let_more_through_than_the_larger_cap(self, desk):
        envelope = acme(desk)
        race(6, lambda n: put(desk, "day", 30) if n == 0 else hold(desk, envelope, shot=n, dollars=10))
        found = desk.balance("day", "2026-11-23@UTC")
        assert found.cap == 30 * USD
        assert found.overrun == max(0, found.reserved - found.cap)
        with pytest.raises(BudgetExceeded):
            hold(desk, envelope, shot=9, dollars=Decimal("20.000001") if found.reserved == 10 * USD else 21)


class TestDays:
    def test_a_standing_word_holds_tomorrow_too(self, desk):
        envelope = acme(desk)
        put(desk, "day", 20)
        hold(desk, envelope, dollars=20)
        hold(desk, envelope, shot=2, dollars=20, now=NOW + DAY)
        with pytest.raises(BudgetExceeded):
            hold(desk, envelope, shot=3, dollars=1, now=NOW + DAY)

    def test_a_word_for_today_is_gone_tomorrow(self, desk):
        envelope = acme(desk)
        put(desk, "day", 20, today_only=True)
        with pytest.raises(BudgetExceeded):
            hold(desk, envelope, dollars=21)
        hold(desk, envelope, dollars=100, now=NOW + DAY)

    def test_a_word_for_today_can_be_over_a_standing_one(self, desk):
        envelope = acme(desk)
        put(desk, "day", 20)
        put(desk, "day", 30, today_only=True)
        hold(desk, envelope, dollars=30)
        with pytest.raises(BudgetExceeded):
            hold(desk, envelope, shot=2, dollars=21, now=NOW + DAY)


class TestClearing:
    @pytest.mark.parametrize("options", [{}, {"today_only": True}])
    def test_a_cleared_day_is_the_configured_one_at_once(self, desk, options):
        envelope = acme(desk)
        put(desk, "day", 20, **options)
        assert clear(desk, "day")
        hold(desk, envelope, dollars=100)

    def test_a_day_that_was_opened_under_a_standing_word_is_cleared_too(self, desk):
        envelope = acme(desk)
        put(desk, "day", 200)
        hold(desk, envelope, dollars=150, now=NOW + DAY)
        assert clear(desk, "day", now=NOW + DAY)
        found = desk.balance("day", "2026-11-24@UTC")
        assert (found.cap, found.overrun) == (100 * USD, 50 * USD)

    def test_a_campaign_has_nothing_to_go_back_to(self, desk):
        acme(desk)
        put(desk, "campaign:spring", 20)
        with pytest.raises(SpecError, match="set another amount"):
            clear(desk, "campaign:spring")
        assert desk.balance("campaign", "spring").cap == 20 * USD

    @pytest.mark.parametrize("scope", ["project:acme", "backend:runway"])
    def test_a_cap_the_configuration_has_not_is_gone_and_what_was_bought_still_settles(self, desk, scope):
        envelope = acme(desk)
        put(desk, scope, 20)
        bought = desk.bring(hold(desk, envelope, dollars=15).purchase_id, "submitted")
        assert clear(desk, scope)
        hold(desk, envelope, shot=2, dollars=50)
        assert desk.close(bought.purchase_id, Step.SUCCEED, charge=15 * USD)

    def test_set_again_it_counts_what_was_bought_in_between(self, desk):
        envelope = acme(desk)
        put(desk, "project:acme", 20)
        hold(desk, envelope, dollars=5)
        clear(desk, "project:acme")
        hold(desk, envelope, shot=2, dollars=6)
        assert put(desk, "project:acme", 20).reserved == 11 * USD

    def test_a_job_gets_its_own_budget_back(self, desk):
        desk.order()
        with desk.ledger.read() as conn:
            preset = desk.catalog.presets[jobs.spec(conn, "job-1").preset]
        put(desk, "job:job-1", 3)
        assert clear(desk, "job:job-1")
        assert desk.balance("job", "job-1").cap == int(preset.budget_usd * USD)

    def test_clearing_what_nobody_set_changes_nothing(self, desk):
        envelope = acme(desk)
        hold(desk, envelope)
        before = desk.rows("caps", "outbox")
        assert [clear(desk, scope) for scope in ("day", "project:acme", "job:job-1", "job:ghost", "backend:veo3")] == [False] * 5
        assert desk.rows("caps", "outbox") == before


class TestZone:
    """A zone changed at noon: the day that runs in the old zone stays in force until it ends."""

    def in_zone(self, desk, zone):
        budgets = desk.catalog.budgets.model_copy(update={"zone": zone})
        desk.catalog = desk.catalog.model_copy(update={"budgets": budgets})

    def test_a_zone_changed_at_noon_hands_out_no_second_days_budget(self, desk):
        envelope = acme(desk)
        hold(desk, envelope, dollars=95)
        self.in_zone(desk, "Asia/Tokyo")
        with pytest.raises(BudgetExceeded, match="2026-11-23@UTC has"):
            hold(desk, envelope, shot=2, dollars=6)
        hold(desk, envelope, shot=2, dollars=5)
        assert desk.balance("day", "2026-11-23@Asia/Tokyo").reserved == 5 * USD
        with desk.ledger.read() as conn:
            assert audit(conn, catalog=desk.catalog, now=NOW) == []

    def test_when_the_old_day_is_over_only_the_new_zone_counts(self, desk):
        envelope = acme(desk)
        hold(desk, envelope, dollars=95)
        self.in_zone(desk, "Asia/Tokyo")
        assert [cap.key for cap in wanted(desk, envelope, now=NOW + 12 * timedelta(hours=1)) if cap.kind == "day"] == [
            "2026-11-24@Asia/Tokyo"
        ]

    def test_what_was_held_before_settles_on_its_own_day(self, desk):
        envelope = acme(desk)
        bought = desk.bring(hold(desk, envelope, dollars=40).purchase_id, "submitted")
        self.in_zone(desk, "America/New_York")
        hold(desk, envelope, shot=2, dollars=1)
        desk.close(bought.purchase_id, Step.SUCCEED, charge=40 * USD, now=NOW + DAY)
        assert desk.balance("day", "2026-11-23@UTC").settled == 40 * USD
        assert desk.balance("day", "2026-11-23@America/New_York").settled == 0

    def test_the_old_day_of_one_backend_binds_that_backend_only(self, desk):
        envelope = acme(desk)
        put(desk, "backend:runway", 10)
        hold(desk, envelope, dollars=10)
        self.in_zone(desk, "Asia/Tokyo")
        with pytest.raises(BudgetExceeded):
            hold(desk, envelope, shot=2, dollars=1)
        hold(desk, envelope, shot=2, dollars=1, backend="veo3")
