"""Events: written with what they tell of, held by one relay at a time, given up by a relay that died."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aiprod.ledger import Ledger, outbox
from tests.desk import NOW, race, rows

DAY = timedelta(days=1)
LATER = NOW + outbox.CLAIM + timedelta(microseconds=1)


@pytest.fixture
def ten(ledger):
    with ledger.write() as conn:
        for n in range(10):
            outbox.emit(conn, f"event-{n}", "job_failed", now=NOW, n=n)
    return [f"event-{n}" for n in range(10)]


def claim(ledger, *, now=NOW, limit=100):
    with ledger.write() as conn:
        return [event.event_key for event in outbox.claim(conn, now=now, limit=limit)]


def test_events_come_in_the_order_they_were_written_with_their_payload(ledger, ten):
    with ledger.write() as conn:
        events = outbox.claim(conn, now=NOW)
    assert [e.event_key for e in events] == ten
    assert (events[3].topic, events[3].payload, events[3].created_at) == ("job_failed", {"n": 3}, NOW)


def test_an_event_is_written_once_per_key_and_the_first_stands(ledger, ten):
    with ledger.write() as conn:
        outbox.emit(conn, "event-0", "job_failed", now=NOW, n=99)
        (event,) = outbox.claim(conn, now=NOW, limit=1)
    assert event.payload == {"n": 0}


def test_an_event_of_a_transaction_that_failed_was_never_written(ledger):
    with pytest.raises(ZeroDivisionError), ledger.write() as conn:  # noqa: PT012 - the transaction around the error is what is tested
        outbox.emit(conn, "ghost", "job_failed", now=NOW)
        raise ZeroDivisionError
    assert claim(ledger) == []


def test_two_relays_never_hold_the_same_event(ledger, ten):
    held = race(4, lambda _: claim(ledger, limit=4))
    together = [key for keys in held for key in keys]
    assert len(together) == len(set(together))
    assert set(together) | set(claim(ledger)) == set(ten)


@pytest.mark.postgres
def test_on_postgres_a_relay_does_not_wait_for_another(postgres_url):
    ledger = Ledger(postgres_url)
    with ledger.write() as conn:
        outbox.emit(conn, "a", "job_failed", now=NOW)
        outbox.emit(conn, "b", "job_failed", now=NOW)
    with ledger.write() as conn:
        (first,) = outbox.claim(conn, now=NOW, limit=1)
        assert (first.event_key, claim(ledger)) == ("a", ["b"])


def test_a_claim_a_dead_relay_left_comes_back_after_a_while_and_not_before(ledger, ten):
    assert claim(ledger) == ten
    assert claim(ledger, now=NOW + outbox.CLAIM) == []
    assert claim(ledger, now=LATER) == ten


def test_what_was_delivered_never_comes_back(ledger, ten):
    claim(ledger)
    with ledger.write() as conn:
        outbox.delivered(conn, ten[:9], now=NOW)
    assert claim(ledger, now=LATER) == ten[9:]


def test_an_empty_outbox_gives_nothing(ledger):
    assert claim(ledger) == []


def test_old_delivered_events_are_pruned_in_bounded_steps_and_undelivered_ones_never(ledger):
    with ledger.write() as conn:
        for n in range(5):
            outbox.emit(conn, f"e{n}", "job_failed", now=NOW)
        outbox.delivered(conn, ["e0", "e1", "e2"], now=NOW)
        outbox.delivered(conn, ["e3"], now=NOW + DAY)
    with ledger.write() as conn:
        assert not outbox.prunable(conn, before=NOW)
        assert outbox.prunable(conn, before=NOW + DAY)
        assert [outbox.prune(conn, before=NOW + DAY, limit=2) for _ in range(3)] == [2, 1, 0]
        assert [event.event_key for event in outbox.claim(conn, now=NOW + DAY)] == ["e4"]
    assert [row["event_key"] for row in rows(ledger, "outbox")["outbox"]] == ["e3", "e4"]


def test_a_topic_that_nobody_could_be_told_of_is_refused(ledger):
    with ledger.write() as conn, pytest.raises(ValueError, match="no such topic: job_faild"):
        outbox.emit(conn, "a", "job_faild", now=NOW)
