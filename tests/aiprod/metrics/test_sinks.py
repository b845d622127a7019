"""The ledger's own sink keeps what series said, minute by minute, and no longer than windows reach."""

from __future__ import annotations

from datetime import timedelta

from aiprod.catalog import Catalog
from aiprod.ledger import Ledger, history, points
from aiprod.metrics import flush
from aiprod.metrics.sinks import LedgerSink
from tests.aiprod.metrics.conftest import Clock


def test_every_flush_notes_what_changed_and_a_window_sees_its_growth(timed: Ledger, config: Catalog, clock: Clock) -> None:
    for _ in range(4):
        with timed.write() as conn:
            points.emit(conn, "jobs", 1, now=clock(), status="failed")
        clock.after(minutes=1)
        assert flush(timed, config, sinks=[LedgerSink(timed)]).leader
    with timed.read() as conn:
        grown = {g.labels["status"]: g.total for g in history.growth(conn, "jobs", since=clock() - timedelta(minutes=2))}
    assert (grown["failed"], grown["delivered"]) == (2, 0)


def test_what_no_window_reaches_is_forgotten(timed: Ledger, config: Catalog, clock: Clock) -> None:
    clock.after(minutes=1)
    flush(timed, config, sinks=[LedgerSink(timed)])
    clock.after(days=9)
    flush(timed, config, sinks=[LedgerSink(timed)])
    with timed.read() as conn:
        assert not history.growth(conn, "nothing", since=clock())
        from aiprod.ledger.schema import metric_history

        notes = conn.execute(metric_history.select()).all()
    assert notes and all(note.at == clock() for note in notes)
