"""The one statement of T1: whatever refuses, nothing is placed; whoever repeats, races or is refused finds it as it was."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace

import pytest
from sqlalchemy import event, text

from aiprod.budgets import Cap
from aiprod.errors import BudgetExceeded, StaleState
from aiprod.ledger import Ledger, caps, holds
from aiprod.models import USD
from tests.desk import NOW, Desk, crowd, errors, race, race_of_processes, rows

MONEY = ("purchases", "caps", "legs", "postings", "outbox")


def four(envelope, *, day=1_000 * USD):
    """Caps of four kinds, given in no order."""
    return [
        Cap(kind="day", key="2026-11-23@UTC", cap=day),
        Cap(kind="project", key="acme", cap=1_000 * USD),
        Cap(kind="envelope", key=f"{envelope.job_id}/1/1", cap=envelope.amount),
        Cap(kind="job", key=envelope.job_id, cap=1_000 * USD),
    ]


def statements(desk, work):
    """What reaches the database while `work` runs."""
    seen = []

    def note(conn, cursor, statement, *_):
        seen.append(statement.split(maxsplit=1)[0])

    event.listen(desk.ledger.engine, "before_cursor_execute", note)
    try:
        work()
    finally:
        event.remove(desk.ledger.engine, "before_cursor_execute", note)
    return seen


class TestCost:
    """The hot row is locked from the first look to the commit: every further round trip is paid by everybody who waits."""

    def test_a_hold_under_open_caps_is_a_queue_and_one_statement_on_postgres_and_few_on_sqlite(self, desk):
        envelope = desk.order()
        desk.hold(envelope, limits=four(envelope))
        seen = statements(desk, lambda: desk.hold(envelope, shot=2, limits=four(envelope)))
        once = ["INSERT", "INSERT", "UPDATE", "INSERT"]
        assert seen == (["SELECT", "WITH"] if desk.ledger.engine.dialect.name == "postgresql" else ["BEGIN", "WITH", *once])

    def test_ten_holds_are_no_more_statements_than_one(self, desk):
        envelope = desk.order()
        desk.hold(envelope, limits=four(envelope))
        one = statements(desk, lambda: desk.hold(envelope, shot=2, limits=four(envelope)))
        news = [desk.new_hold(envelope, shot=n, limits=four(envelope)) for n in range(3, 13)]
        assert statements(desk, lambda: desk.hold_all(*news)) == one


class TestTaking:
    def test_every_cap_has_a_leg_whatever_order_they_come_in(self, desk):
        envelope = desk.order()
        desk.hold(envelope, limits=four(envelope))
        assert len(rows(desk.ledger, "legs")["legs"]) == 4
        assert {row["reserved"] for row in rows(desk.ledger, "caps")["caps"]} == {7 * USD}

    def test_what_is_refused_leaves_nothing_even_in_a_transaction_that_goes_on(self, desk):
        envelope = desk.order()
        desk.hold(envelope, limits=four(envelope, day=10 * USD))
        before = rows(desk.ledger, *MONEY)
        with desk.in_one_transaction(), pytest.raises(BudgetExceeded):
            desk.hold(envelope, shot=2, limits=four(envelope, day=10 * USD))
        assert rows(desk.ledger, *MONEY) == before

    def test_it_is_not_placed_where_a_cap_is_missing(self, desk):
        envelope = desk.order()
        desk.hold(envelope, limits=four(envelope)[1:])
        new = desk.new_hold(envelope, shot=2).wanted(catalog=desk.catalog, now=NOW)
        with desk.ledger.write() as conn:
            assert holds.take(conn, [replace(new, limits=four(envelope))]) == holds.NOTHING
            assert holds.take(conn, [replace(new, limits=four(envelope)[1:])]).placed == {new.purchase_id}


class TestTogether:
    def test_of_those_that_come_again_at_once_each_finds_the_one_hold_also_when_it_filled_the_cap(self, desk):
        envelope = desk.order(amount=7 * USD)
        held = race(8, lambda _: desk.hold(envelope))
        assert errors(held) == []
        assert len({p.purchase_id for p in held}) == 1

    def test_of_two_for_one_shot_under_caps_of_different_backends_one_is_told_to_look_again(self, desk):
        envelope = desk.order()
        caps_of = [[*desk.limits(envelope), Cap(kind="backend_day", key=name, cap=100 * USD)] for name in ("runway", "veo3")]
        results = race(2, lambda n: desk.hold(envelope, sequence=n + 1, limits=caps_of[n]))
        assert [type(e) for e in errors(results)] == [StaleState]

    @pytest.mark.postgres
    def test_a_hold_under_another_day_waits_for_the_one_that_takes_the_projects_last_dollar(self, postgres_url, config):
        """Their queues are different ones: only the lock on the project's row stands between them."""
        desk = Desk(Ledger(postgres_url), config)
        envelope = desk.order()

        def limits(day):
            return [Cap(kind="project", key="acme", cap=7 * USD), Cap(kind="day", key=day, cap=100 * USD)]

        for day in ("2026-11-23@UTC", "2026-11-23@Europe/Rome"):
            desk.hold(envelope, shot=len(day), amount=0, limits=limits(day))
        told, twin = [], Desk(Ledger(postgres_url), config, dict(desk.envelopes))

        def other():
            try:
                told.append(twin.hold(envelope, shot=2, limits=limits("2026-11-23@Europe/Rome")))
            except Exception as error:  # noqa: BLE001 - whatever was raised is the answer
                told.append(error)

        second = threading.Thread(target=other)
        with desk.in_one_transaction():
            desk.hold(envelope, shot=1, limits=limits("2026-11-23@UTC"))
            second.start()
            waits = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
            with Ledger(postgres_url).engine.connect() as looking:
                while second.is_alive() and not looking.execute(waits).scalar_one():
                    looking.rollback()
        second.join()
        assert [type(e) for e in told] == [BudgetExceeded]
        assert desk.audit() == []

    def test_sixty_four_that_hammer_a_hundred_dollars_with_forty_cents_get_exactly_two_hundred_and_fifty(
        self, ledger_url, config
    ):
        desk = Desk(Ledger(ledger_url), config)
        envelope = desk.order()
        limits = four(envelope, day=100 * USD)

        def hammer(n):
            placed, shot = 0, n * 1_000
            while True:
                try:
                    desk.hold(envelope, shot=shot, amount=400_000, limits=limits)
                except BudgetExceeded:
                    return placed
                placed, shot = placed + 1, shot + 1

        assert sum(race_of_processes(64, hammer)) == 250
        assert desk.balance("day", "2026-11-23@UTC").free == 0
        assert desk.audit() == []

    @pytest.mark.slow
    def test_a_thousand_processes_at_once_on_one_days_cap_are_all_answered(self, ledger_url, config):
        """More than Postgres has connections for. Taken or refused, never an error, never a hang."""
        desk = Desk(Ledger(ledger_url), config)
        envelope = desk.order()
        limits = four(envelope, day=100 * USD)
        desk.hold(envelope, shot=5_000, amount=0, limits=limits)

        def once(n):
            try:
                desk.hold(envelope, shot=n, amount=400_000, limits=limits)
            except BudgetExceeded:
                return "refused"
            return "taken"

        told = crowd(1_000, once, patience=150)
        assert Counter(answer for answer, _ in told) == {"taken": 250, "refused": 750}
        assert desk.balance("day", "2026-11-23@UTC").free == 0
        assert desk.audit() == []

    def test_two_first_holds_of_a_new_day_and_a_new_campaign_do_not_wait_for_each_other(self, desk):
        """Each creates rows the other needs: whoever waits for an insert must hold no row that is hotter."""
        envelopes = [desk.order(f"job-{n}") for n in range(6)]

        def first(n):
            new = [Cap(kind="campaign", key="spring", cap=100 * USD), Cap(kind="day", key="2026-11-24@UTC", cap=100 * USD)]
            return desk.hold(envelopes[n], limits=[*desk.limits(envelopes[n])[:2], *new])

        assert errors(race(6, first)) == []


class TestFollowing:
    """A cap is what the configuration says now, unless a person set it or approved it."""

    def day(self, usd, **options):
        return [Cap(kind="day", key="2026-11-23@UTC", cap=usd * USD, **options)]

    def caps(self, desk):
        return [(row["cap"], row["warn"], row["overrun"]) for row in desk.rows("caps")["caps"]]

    def test_an_amount_changed_in_the_middle_of_a_day_counts_from_the_next_hold(self, desk):
        envelope = desk.order()
        desk.hold(envelope, limits=self.day(10, warn=9 * USD))
        with pytest.raises(BudgetExceeded):
            desk.hold(envelope, shot=2, limits=self.day(10, warn=9 * USD))
        desk.hold(envelope, shot=2, limits=self.day(20, warn=18 * USD))
        assert self.caps(desk) == [(20 * USD, 18 * USD, 0)]

    def test_one_lowered_below_what_is_used_is_closed_and_shows_by_how_much(self, desk):
        envelope = desk.order()
        desk.hold(envelope, limits=self.day(10))
        with desk.in_one_transaction(), pytest.raises(BudgetExceeded) as caught:
            desk.hold(envelope, shot=2, amount=1, limits=self.day(5))
        assert caught.value.short == (("the day's budget 2026-11-23@UTC", -2 * USD),)
        assert self.caps(desk) == [(5 * USD, None, 2 * USD)]
        assert desk.topics() == ["cap_lowered"]

    def test_what_a_person_set_stays(self, desk):
        envelope = desk.order()
        desk.hold(envelope, limits=self.day(10))
        with desk.ledger.write() as conn:
            conn.execute(caps.caps.update().values(cap=8 * USD, set_by="ann"))
        with pytest.raises(BudgetExceeded):
            desk.hold(envelope, shot=2, amount=USD + 1, limits=self.day(20))
        desk.hold(envelope, shot=2, amount=USD, limits=self.day(5))
        assert self.caps(desk) == [(8 * USD, None, 0)]

    def test_an_envelope_stays_what_was_approved(self, desk):
        envelope = desk.order(amount=10 * USD)
        desk.hold(envelope, limits=[Cap(kind="envelope", key="job-1/1/1", cap=10 * USD)])
        with pytest.raises(BudgetExceeded):
            desk.hold(envelope, shot=2, limits=[Cap(kind="envelope", key="job-1/1/1", cap=1_000 * USD)])

    @pytest.mark.parametrize("usd", [5, 20])
    @pytest.mark.parametrize("set_by", [None, "ann"])
    def test_what_is_said_to_be_left_is_what_a_hold_can_take(self, desk, usd, set_by):
        envelope = desk.order()
        desk.hold(envelope, amount=4 * USD, limits=self.day(10))
        with desk.ledger.write() as conn:
            conn.execute(caps.caps.update().values(set_by=set_by))
        with desk.ledger.read() as conn:
            left, _ = caps.headroom(conn, self.day(usd))
        with desk.in_one_transaction(), pytest.raises(BudgetExceeded):
            desk.hold(envelope, shot=2, amount=left + 1, limits=self.day(usd))
        desk.hold(envelope, shot=2, amount=left, limits=self.day(usd))

    def test_a_row_is_written_only_when_it_differs(self, desk):
        envelope = desk.order()
        desk.hold(envelope, limits=self.day(10))
        desk.hold(envelope, shot=2, amount=USD, limits=self.day(20))
        seen = statements(desk, lambda: desk.hold(envelope, shot=3, amount=USD, limits=self.day(20)))
        assert len(seen) <= 6

    def test_callers_with_two_configurations_each_keep_to_their_own_and_nobody_waits_for_ever(self, desk):
        envelope = desk.order()
        results = race(8, lambda n: desk.hold(envelope, shot=n + 1, amount=USD, limits=self.day(4 if n % 2 else 100)))
        assert all(isinstance(e, BudgetExceeded) for e in errors(results))
        assert len(errors(results)) <= 4
