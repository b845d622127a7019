"""Notices: written when an event leaves the outbox, taken by one relay at a time, tried for a day, never forgotten."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from aiprod.ledger import Ledger, jobs, notices, outbox
from aiprod.ledger.notices import LEASE, MANY, TRIES, Claimed
from aiprod.models import JobSpec
from tests.desk import NOW, Desk, race, rows

MINUTE = timedelta(minutes=1)


def tell(
    ledger: Ledger, *keys: str, topic: str = "job_failed", at: datetime = NOW, channels: tuple[str, ...] = ("shop",)
) -> None:
    """Emit events and put them before some channels."""
    with ledger.write() as conn:
        for key in keys:
            outbox.emit(conn, key, topic, now=at)
        notices.spread(conn, lambda *_: channels, now=at)


def claim(ledger: Ledger, channel: str = "shop", *, now: datetime = NOW) -> Claimed | None:
    return ledger.transact(lambda conn: notices.claim(conn, channel, now=now))


def keys(claimed: Claimed | None) -> list[str]:
    return [event.event_key for event in claimed.events] if claimed else []


def fail(ledger: Ledger, claimed: Claimed | None, *, now: datetime) -> bool:
    assert claimed is not None
    with ledger.write() as conn:
        return notices.failed(conn, "shop", claimed.message, "no", now=now)


class TestSpread:
    def test_an_event_leaves_the_outbox_when_its_notices_are_written(self, ledger: Ledger) -> None:
        tell(ledger, "a", channels=("log", "shop"))
        with ledger.read() as conn:
            assert not outbox.waiting(conn, now=NOW)
            assert notices.due(conn, now=NOW) == ["log", "shop"]

    def test_and_stays_when_they_are_not(self, ledger: Ledger) -> None:
        def broken(topic: str, project: str | None) -> tuple[str, ...]:
            raise ZeroDivisionError

        with ledger.write() as conn:
            outbox.emit(conn, "a", "job_failed", now=NOW)
        with pytest.raises(ZeroDivisionError), ledger.write() as conn:
            notices.spread(conn, broken, now=NOW)
        tell(ledger)
        assert keys(claim(ledger)) == ["a"]

    def test_it_goes_where_its_topic_and_its_jobs_project_lead(self, desk: Desk) -> None:
        bought = desk.hold(desk.order())
        with desk.ledger.write() as conn:
            jobs.enter(conn, "job-2", JobSpec(prompt="x" * 80, project="acme"), now=NOW)
            outbox.emit(conn, "1", "job_failed", now=NOW, job_id="job-2")
            outbox.emit(conn, "2", "purchase_parked", now=NOW, purchase_id=bought.purchase_id)
            outbox.emit(conn, "3", "budget_set", now=NOW)
            outbox.emit(conn, "4", "job_failed", now=NOW, job_id="nobody-knows")
        asked: list[tuple[str, str | None]] = []
        with desk.ledger.write() as conn:
            notices.spread(conn, lambda topic, project: (asked.append((topic, project)), ("shop",))[1], now=NOW)
            rows_ = conn.execute(text("SELECT event_key FROM notices ORDER BY event_key")).scalars().all()
        assert (rows_, asked) == (["1", "2", "3", "4"], [
            ("job_failed", "acme"), ("purchase_parked", "default"), ("budget_set", None), ("job_failed", None),
        ])  # fmt: skip
        with desk.ledger.write() as conn:
            look = text("SELECT event_key, topic, payload FROM outbox ORDER BY id")
            told = [outbox.event({**row, "created_at": NOW}) for row in conn.execute(look).mappings()]
            found = [notices.about(conn, event) for event in told]
        assert [(a.job_id, a.project) for a in found] == [
            ("job-2", "acme"), ("job-1", "default"), ("", None), ("nobody-knows", None),
        ]  # fmt: skip
        assert [a.title for a in found] == ["x" * 39 + "…", "a lighthouse", "", ""]


class TestClaim:
    def test_two_relays_never_hold_the_same_message(self, ledger: Ledger) -> None:
        for n in range(8):
            tell(ledger, f"e{n}", at=NOW + n * MINUTE)
        later = NOW + 10 * MINUTE
        held = race(4, lambda _: [keys(claim(ledger, now=later)) for _ in range(2)])
        together = [key for mine in held for found in mine for key in found]  # type: ignore[union-attr]
        assert sorted(together) == [f"e{n}" for n in range(8)]
        assert claim(ledger, now=later) is None

    def test_a_message_a_dead_relay_left_comes_back_whole_under_its_id(self, ledger: Ledger) -> None:
        tell(ledger, *(f"e{n}" for n in range(MANY)))
        first = claim(ledger)
        tell(ledger, *(f"f{n}" for n in range(MANY)))
        held = race(3, lambda _: claim(ledger, now=NOW + LEASE))
        assert sorted(len(keys(found)) for found in held) == [0, MANY, MANY]  # type: ignore[arg-type]
        assert first in held

    @pytest.mark.postgres
    def test_who_comes_while_another_takes_waits_and_gets_the_next(self, postgres_url: str) -> None:
        ledger, told = Ledger(postgres_url), list[list[str]]()
        tell(ledger, "a", "b")
        second = threading.Thread(target=lambda: told.append(keys(claim(ledger))))
        with ledger.write() as conn:
            first = notices.claim(conn, "shop", now=NOW)
            second.start()
            waits = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
            with Ledger(postgres_url).engine.connect() as looking:
                while second.is_alive() and not looking.execute(waits).scalar_one():
                    looking.rollback()
        second.join()
        assert (keys(first), told) == (["a"], [["b"]])

    def test_few_go_out_one_by_one_and_many_of_one_kind_and_minute_together(self, ledger: Ledger) -> None:
        tell(ledger, *(f"e{n}" for n in range(MANY - 1)))
        assert keys(claim(ledger)) == ["e0"]
        tell(ledger, "other", topic="job_delivered")
        tell(ledger, "late", at=NOW + MINUTE)
        tell(ledger, "f0", "f1")
        assert keys(claim(ledger, now=NOW + MINUTE)) == ["e1", "e2", "e3", "f0", "f1"]
        assert [keys(claim(ledger, now=NOW + MINUTE)) for _ in range(3)] == [["other"], ["late"], []]

    def test_a_message_has_a_hundred_events_at_most(self, ledger: Ledger) -> None:
        for start in (0, 100):
            tell(ledger, *(f"e{n:03}" for n in range(start, start + 100)))
        tell(ledger, "e200")
        assert [len(keys(claim(ledger))) for _ in range(4)] == [100, 100, 1, 0]


class TestOutcome:
    def test_what_was_sent_is_never_due_again_whatever_a_late_relay_says(self, ledger: Ledger) -> None:
        tell(ledger, "a")
        claimed = claim(ledger)
        assert claimed is not None
        with ledger.write() as conn:
            notices.sent(conn, "shop", claimed.message, now=NOW)
            notices.failed(conn, "shop", claimed.message, "too late", now=NOW)
            assert notices.due(conn, now=NOW + 100 * LEASE) == [] == notices.given_up(conn)

    def test_pauses_grow_for_a_day_and_then_it_is_given_up_and_seen(self, sqlite_url: str) -> None:
        ledger = Ledger(sqlite_url)
        tell(ledger, "a")
        now, ids = NOW, set()
        for n in range(1, TRIES + 1):
            claimed = claim(ledger, now=now)
            assert claimed is not None and claim(ledger, now=now) is None
            ids.add(claimed.message)
            assert fail(ledger, claimed, now=now) == (n == TRIES)
            pause = min(2 ** (n - 1), 60) * MINUTE
            assert n == TRIES or claim(ledger, now=now + pause - timedelta(microseconds=1)) is None
            now += pause
        assert len(ids) == 1 and timedelta(hours=23) < now - NOW < timedelta(hours=26)
        with ledger.read() as conn:
            assert notices.due(conn, now=now + 100 * LEASE) == []
            (left,) = notices.given_up(conn)
        assert (left.event_key, left.channel, left.tries, left.trouble) == ("a", "shop", TRIES, "no")

    def test_a_message_on_which_every_relay_dies_is_given_up_too(self, ledger: Ledger) -> None:
        tell(ledger, "a")
        claims = [claim(ledger, now=NOW + n * LEASE) for n in range(TRIES + 1)]
        assert claims[-1] is None and None not in claims[:-1]
        with ledger.read() as conn:
            assert [left.event_key for left in notices.given_up(conn)] == ["a"]

    def test_a_channel_that_is_gone_is_given_up_whole(self, ledger: Ledger) -> None:
        tell(ledger, "a", "b")
        with ledger.write() as conn:
            assert notices.drop(conn, "shop", "gone") == 2
            assert notices.due(conn, now=NOW) == []

    def test_old_notices_go_with_their_events(self, ledger: Ledger) -> None:
        tell(ledger, "a")
        tell(ledger, "b", at=NOW + MINUTE)
        with ledger.write() as conn:
            assert outbox.prune(conn, before=NOW + MINUTE, limit=10) == 1
        assert [row["event_key"] for row in rows(ledger, "notices")["notices"]] == ["b"]
