"""What a series grew by over a window is reckoned from the last note before it."""

from __future__ import annotations

from datetime import datetime, timedelta

from aiprod.ledger import Ledger, history, points
from tests.desk import NOW

MINUTE = timedelta(minutes=1)


def minute(ledger: Ledger, at: datetime, count: int = 1, *, noted: bool = True) -> None:
    with ledger.write() as conn:
        for _ in range(count):
            points.emit(conn, "quality_score", 0.5, now=at, dimension="technical")
        points.fold(conn)
        if noted:
            history.keep(conn, points.series(conn), at=at)


def grown(ledger: Ledger, since: datetime) -> tuple[int, float, int]:
    with ledger.read() as conn:
        (one,) = history.growth(conn, "quality_score", since=since)
    return one.count, one.total, sum(one.buckets or ())


def test_a_window_counts_what_came_after_its_begin(ledger: Ledger) -> None:
    for n in range(5):
        minute(ledger, NOW + n * MINUTE)
    assert grown(ledger, NOW + 2 * MINUTE) == (2, 1.0, 2)
    assert grown(ledger, NOW + 1.5 * MINUTE) == (3, 1.5, 3)
    assert grown(ledger, NOW + 9 * MINUTE) == (0, 0.0, 0)


def test_a_series_that_began_inside_grew_from_zero(ledger: Ledger) -> None:
    minute(ledger, NOW, 3)
    assert grown(ledger, NOW - MINUTE) == (3, 1.5, 3)


def test_what_was_never_noted_before_the_window_is_not_made_up(ledger: Ledger) -> None:
    """An older series, in a ledger that has kept notes for a minute: only that minute is known."""
    minute(ledger, NOW - timedelta(days=1), 100, noted=False)
    minute(ledger, NOW)
    minute(ledger, NOW + MINUTE, 2)
    assert grown(ledger, NOW - timedelta(hours=1))[0] == 2


def test_old_notes_go_a_few_at_a_time_and_the_others_stay(ledger: Ledger) -> None:
    for n in range(6):
        minute(ledger, NOW + n * MINUTE)
    with ledger.write() as conn:
        assert history.prune(conn, before=NOW + 4 * MINUTE, limit=3) == 3
        assert history.prune(conn, before=NOW + 4 * MINUTE, limit=3) == 1
        assert history.prune(conn, before=NOW + 4 * MINUTE, limit=3) == 0
    assert grown(ledger, NOW + 4 * MINUTE)[0] == 1
