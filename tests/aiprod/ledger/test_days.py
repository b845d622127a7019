"""Days in the ledger: whose row a purchase is on when midnight, a clock change or a crowd comes in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.exc import OperationalError

from aiprod.budgets import day_window
from aiprod.errors import BudgetExceeded
from aiprod.ledger import limits
from aiprod.ledger.states import Step
from aiprod.models import USD, JobSpec
from tests.desk import NOW, race

MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1)
SPEC = JobSpec(prompt="a", budget_usd=1_000_000)

#: Days of 23 and 25 hours, and days whose midnight does not exist.
ODD_DAYS = [
    ("Europe/Rome", "2026-03-29", 23),
    ("Europe/Rome", "2026-10-25", 25),
    ("America/New_York", "2026-11-01", 25),
    ("America/Sao_Paulo", "2018-11-04", 23),
    ("Africa/Cairo", "2026-04-24", 23),
]


def in_zone(desk, zone, **budgets):
    changed = desk.catalog.budgets.model_copy(update={"zone": zone, **budgets})
    desk.catalog = desk.catalog.model_copy(update={"budgets": changed})


def hold(desk, envelope, now, *, shot=1, dollars=10):
    """Hold under the caps that apply at that moment, as `purchasing.place_hold` does."""
    with desk.ledger.read() as conn:
        rules = limits.in_force(conn, desk.catalog, envelope.job_id, now=now)
    wanted = rules.caps(spec=SPEC, job_id=envelope.job_id, envelope=envelope, backend="runway", catalog=desk.catalog, now=now)
    return desk.hold(envelope, shot=shot, amount=int(dollars * USD), limits=wanted, now=now)


def day_rows(desk):
    return {row["key"]: (row["reserved"], row["settled"]) for row in desk.rows("caps")["caps"] if row["kind"] == "day"}


@pytest.mark.parametrize(("zone", "date", "hours"), ODD_DAYS)
class TestOddDays:
    def window(self, desk, zone, date):
        in_zone(desk, zone)
        noon = datetime.fromisoformat(f"{date}T12:00").replace(tzinfo=ZoneInfo(zone))
        _, starts_at, ends_at = day_window(noon, ZoneInfo(zone))
        envelope = desk.order(now=starts_at - DAY, expires_at=ends_at + DAY)
        return envelope, starts_at, ends_at

    def test_every_hour_of_it_is_on_one_row_and_the_hours_around_it_are_not(self, desk, zone, date, hours):
        envelope, starts_at, ends_at = self.window(desk, zone, date)
        times = [starts_at + n * timedelta(hours=1) for n in range(hours)]
        assert times[-1] + timedelta(hours=1) == ends_at
        for shot, now in enumerate([starts_at - MICROSECOND, *times, ends_at - MICROSECOND, ends_at], start=1):
            hold(desk, envelope, now, shot=shot, dollars=1)
        found = day_rows(desk)
        assert found[f"{date}@{zone}"] == ((hours + 1) * USD, 0)
        assert sorted(reserved for reserved, _ in found.values()) == [USD, USD, (hours + 1) * USD]

    def test_its_budget_is_one_days_budget_from_its_first_to_its_last_microsecond(self, desk, zone, date, hours):
        envelope, starts_at, ends_at = self.window(desk, zone, date)
        hold(desk, envelope, starts_at, dollars=60)
        with pytest.raises(BudgetExceeded, match=r"has \$40\.00 left"):
            hold(desk, envelope, ends_at - MICROSECOND, shot=2, dollars=41)
        hold(desk, envelope, ends_at - MICROSECOND, shot=2, dollars=40)
        hold(desk, envelope, ends_at, shot=3, dollars=100)


class TestOverMidnight:
    MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)

    def bought_before(self, desk, dollars=10):
        key = hold(desk, desk.order(expires_at=NOW + 30 * DAY), self.MIDNIGHT - MICROSECOND, dollars=dollars).purchase_id
        desk.claim(key, now=self.MIDNIGHT + MICROSECOND)
        desk.accept(key, now=self.MIDNIGHT + 2 * MICROSECOND)
        return key

    def test_what_was_held_before_is_settled_on_the_day_of_its_hold(self, desk):
        key = self.bought_before(desk)
        desk.close(key, Step.SUCCEED, charge=9 * USD, now=self.MIDNIGHT + timedelta(hours=1))
        assert day_rows(desk) == {"2026-11-23@UTC": (0, 9 * USD)}

    def test_a_refund_and_a_late_bill_of_next_week_too(self, desk):
        key = self.bought_before(desk)
        desk.close(key, Step.SUCCEED, charge=9 * USD, now=self.MIDNIGHT + timedelta(hours=1))
        hold(desk, desk.envelopes["job-1", 1], self.MIDNIGHT + 7 * DAY, shot=2)
        desk.adjust(key, -4 * USD, "refund", now=self.MIDNIGHT + 7 * DAY)
        desk.adjust(key, USD, "late", now=self.MIDNIGHT + 7 * DAY)
        assert day_rows(desk) == {"2026-11-23@UTC": (0, 6 * USD), "2026-12-01@UTC": (10 * USD, 0)}

    def test_a_bill_over_its_hold_closes_the_day_it_was_held_on_and_not_today(self, desk):
        key = self.bought_before(desk, dollars=100)
        desk.close(key, Step.SUCCEED, charge=120 * USD, now=self.MIDNIGHT + timedelta(hours=1))
        assert desk.balance("day", "2026-11-23@UTC").overrun == 20 * USD
        hold(desk, desk.envelopes["job-1", 1], self.MIDNIGHT + timedelta(hours=2), shot=2, dollars=100)

    def test_what_is_given_back_is_given_back_to_the_day_of_its_hold(self, desk):
        key = hold(desk, desk.order(), self.MIDNIGHT - MICROSECOND).purchase_id
        hold(desk, desk.envelopes["job-1", 1], self.MIDNIGHT, shot=2)
        desk.release(key, Step.VOID, now=self.MIDNIGHT + timedelta(hours=1))
        assert day_rows(desk) == {"2026-11-23@UTC": (0, 0), "2026-11-24@UTC": (10 * USD, 0)}


class TestWarning:
    def test_it_comes_once_per_day_however_many_cross_the_line_together(self, desk):
        envelope = desk.order(amount=10_000 * USD, expires_at=NOW + 30 * DAY)
        desk.with_backend("runway", slots=1_000)
        in_zone(desk, "UTC", day_usd=Decimal(1_000), day_warn_usd=Decimal(30))
        # A caller who waited too long for the row may be refused by the database: that is no warning either.
        results = race(64, lambda n: hold(desk, envelope, NOW, shot=n + 1))
        assert {type(r) for r in results if isinstance(r, Exception)} <= {OperationalError}
        assert sum(not isinstance(r, Exception) for r in results) >= 3
        assert desk.topics().count("budget_warning") == 1
        for shot in (71, 72, 73, 74):
            hold(desk, envelope, NOW + DAY, shot=shot)
        assert desk.topics().count("budget_warning") == 2
