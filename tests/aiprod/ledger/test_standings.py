"""The caps as people see them: what the next hold would find, used or not, set by hand or not."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from aiprod.budgets import Scope
from aiprod.ledger import limits
from aiprod.ledger.standings import standing
from aiprod.ledger.states import Step
from aiprod.models import USD
from tests.desk import NOW

DAY = timedelta(days=1)


def stand(desk, *, now=NOW, **options):
    with desk.ledger.read() as conn:
        return {cap.scope: cap for cap in standing(conn, desk.catalog, now=now, **options)}


def caps_of(desk, envelope, **options):
    """The desk's caps, the day with its window."""
    window = {"starts_at": NOW.replace(hour=0), "ends_at": NOW.replace(hour=0) + DAY}
    return [cap.model_copy(update=window) if cap.kind == "day" else cap for cap in desk.limits(envelope, **options)]


def put(desk, scope, dollars, *, now=NOW):
    with desk.ledger.write() as conn:
        limits.set_cap(conn, Scope.parse(scope), dollars * USD, by="ann", catalog=desk.catalog, now=now)


def with_budgets(desk, **changes):
    desk.catalog = desk.catalog.model_copy(update={"budgets": desk.catalog.budgets.model_copy(update=changes)})


class TestStanding:
    def test_a_day_on_which_nothing_was_bought_is_shown_as_configured(self, desk):
        found = stand(desk)
        assert list(found) == ["day"]
        day = found["day"]
        assert (day.cap, day.left, day.warn, day.set_by, day.held) == (100 * USD, 100 * USD, 90 * USD, None, 0)
        assert day.ends_at - day.starts_at == DAY

    def test_configured_backends_and_projects_are_shown_before_their_first_purchase(self, desk):
        with_budgets(desk, backend_day_usd={"veo3": Decimal(5)}, project_usd={"acme": Decimal(7)})
        assert {scope: cap.cap for scope, cap in stand(desk).items()} == {
            "day": 100 * USD, "backend:veo3": 5 * USD, "project:acme": 7 * USD,
        }  # fmt: skip

    def test_held_charged_and_left_add_up_to_the_cap(self, desk):
        envelope = desk.order()
        limits_ = caps_of(desk, envelope, day=100 * USD)
        key = desk.bought(envelope, amount=30 * USD, limits=limits_).purchase_id
        desk.close(key, Step.SUCCEED, charge=20 * USD)
        desk.hold(envelope, shot=2, amount=15 * USD, limits=limits_)
        day = stand(desk)["day"]
        assert (day.held, day.charged, day.left) == (15 * USD, 20 * USD, 65 * USD)

    def test_what_a_warning_was_sent_for_is_marked(self, desk):
        envelope = desk.order()
        desk.hold(envelope, amount=95 * USD, limits=caps_of(desk, envelope, day=100 * USD, warn=90 * USD))
        assert stand(desk)["day"].warned_at == NOW

    def test_an_overrun_leaves_nothing_and_is_shown(self, desk):
        envelope = desk.order()
        key = desk.bought(envelope, amount=100 * USD, limits=caps_of(desk, envelope, day=100 * USD)).purchase_id
        desk.close(key, Step.SUCCEED, charge=120 * USD)
        assert (stand(desk)["day"].left, stand(desk)["day"].overrun) == (0, 20 * USD)

    def test_a_cap_set_by_hand_says_by_whom_today_and_on_later_days(self, desk):
        put(desk, "day", 50)
        assert (stand(desk)["day"].set_by, stand(desk)["day"].cap) == ("ann", 50 * USD)
        tomorrow = stand(desk, now=NOW + DAY)["day"]
        assert (tomorrow.set_by, tomorrow.cap, tomorrow.key) == ("ann", 50 * USD, "2026-11-24@UTC")

    def test_a_row_that_follows_the_configuration_is_shown_as_the_next_hold_will_make_it(self, desk):
        envelope = desk.order()
        desk.hold(envelope, amount=40 * USD, limits=caps_of(desk, envelope, day=100 * USD))
        with_budgets(desk, day_usd=Decimal(30))
        day = stand(desk)["day"]
        assert (day.cap, day.left, day.overrun) == (30 * USD, 0, 10 * USD)

    def test_another_day_is_shown_as_it_was(self, desk):
        envelope = desk.order()
        desk.hold(envelope, amount=40 * USD, limits=caps_of(desk, envelope, day=60 * USD))
        found = stand(desk, now=NOW + 3 * DAY, day=date(2026, 11, 23))["day"]
        assert (found.cap, found.held) == (60 * USD, 40 * USD)
        assert stand(desk, now=NOW + 3 * DAY)["day"].held == 0

    def test_a_project_cap_that_was_cleared_is_marked_as_no_longer_applied(self, desk):
        put(desk, "project:acme", 50)
        assert stand(desk)["project:acme"].applies
        with desk.ledger.write() as conn:
            limits.clear_cap(conn, Scope.parse("project:acme"), by="ann", catalog=desk.catalog, now=NOW)
        assert not stand(desk)["project:acme"].applies

    def test_jobs_and_envelopes_are_shown_only_when_asked_for_and_only_those_that_bought(self, desk):
        envelope, idle = desk.order(), desk.order("job-2")
        desk.close(desk.bought(envelope).purchase_id, Step.SUCCEED, charge=1)
        desk.release(desk.hold(idle, now=NOW - 2 * DAY).purchase_id, Step.VOID)
        assert set(stand(desk)) == {"day"}
        assert set(stand(desk, everything=True)) == {"day", "job:job-1", "envelope:job-1/1/1"}
