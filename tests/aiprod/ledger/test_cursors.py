"""A sink's cursor follows what it took, never what it was only told, and never goes back."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from aiprod.ledger import Ledger, cursors, points
from aiprod.ledger.cursors import QUARANTINE, REFUSALS, Refused
from aiprod.ledger.points import Series
from tests.desk import NOW

GAP, HEARTBEAT = timedelta(seconds=30), timedelta(minutes=4)


def emit(ledger: Ledger, times: int = 1) -> None:
    with ledger.write() as conn:
        for _ in range(times):
            points.emit(conn, "jobs", 1, now=NOW, status="failed")
        points.fold(conn)


def due(ledger: Ledger, after: timedelta, sink: str = "one") -> list[Series]:
    with ledger.read() as conn:
        return cursors.due(conn, sink, now=NOW + after, gap=GAP, heartbeat=HEARTBEAT)


def ack(ledger: Ledger, series: list[Series], after: timedelta) -> None:
    with ledger.write() as conn:
        cursors.ack(conn, "one", series, ended_at=NOW + after)


@pytest.fixture
def told(ledger: Ledger) -> Ledger:
    """A ledger with one series that the sink has, as of a second after it began."""
    emit(ledger)
    ack(ledger, due(ledger, timedelta(seconds=1)), timedelta(seconds=1))
    return ledger


def test_what_was_not_acknowledged_stays_due(ledger: Ledger) -> None:
    emit(ledger)
    assert len(due(ledger, timedelta(seconds=1))) == len(due(ledger, timedelta(seconds=2))) == 1


def test_what_changed_is_due_after_the_gap_and_what_did_not_after_the_heartbeat(told: Ledger) -> None:
    assert due(told, timedelta(minutes=1)) == []
    assert len(due(told, HEARTBEAT + timedelta(seconds=1))) == 1
    emit(told)
    assert due(told, timedelta(seconds=20)) == []
    assert [s.total for s in due(told, timedelta(seconds=31))] == [2]


def test_a_sink_does_not_move_anothers_cursor(told: Ledger) -> None:
    assert len(due(told, timedelta(seconds=2), "another")) == 1


def test_a_word_that_comes_late_does_not_turn_the_cursor_back(told: Ledger) -> None:
    """Two leaders at once: the slower one sent less, and says so later."""
    old = due(told, timedelta(hours=1))
    emit(told)
    new = due(told, timedelta(hours=1))
    ack(told, new, timedelta(minutes=10))
    ack(told, old, timedelta(minutes=5))
    assert due(told, timedelta(minutes=11)) == []


def test_a_series_of_this_very_moment_waits(ledger: Ledger) -> None:
    emit(ledger)
    with ledger.read() as conn:
        (one,) = points.series(conn)
        assert cursors.due(conn, "one", now=one.started_at, gap=GAP, heartbeat=HEARTBEAT) == []


def refuse(ledger: Ledger, at: datetime, times: int = 1) -> None:
    with ledger.write() as conn:
        one = next(s for s in points.series(conn) if s.name == "jobs")
        for _ in range(times):
            cursors.refuse(conn, "one", [Refused(one, "no")], now=at)


def count(ledger: Ledger) -> int:
    with ledger.read() as conn:
        return cursors.quarantined(conn, "one")


def test_quarantine_begins_with_the_last_straw_and_lasts_a_day(ledger: Ledger) -> None:
    emit(ledger)
    refuse(ledger, NOW, REFUSALS - 1)
    assert (count(ledger), len(due(ledger, timedelta(minutes=5)))) == (0, 1)
    refuse(ledger, NOW)
    assert (count(ledger), len(due(ledger, timedelta(minutes=5)))) == (1, 0)
    assert len(due(ledger, timedelta(minutes=5), "another")) == 1
    assert len(due(ledger, QUARANTINE)) == 1


def test_who_takes_it_again_has_refused_nothing(ledger: Ledger) -> None:
    emit(ledger)
    refuse(ledger, NOW, REFUSALS)
    ack(ledger, due(ledger, QUARANTINE), QUARANTINE)
    assert count(ledger) == 0


def test_every_refusal_is_counted(ledger: Ledger) -> None:
    emit(ledger)
    refuse(ledger, NOW, 3)
    with ledger.write() as conn:
        points.fold(conn)
        assert [s.total for s in points.series(conn) if s.name == "points_refused"] == [3]
