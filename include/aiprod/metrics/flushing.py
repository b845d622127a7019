"""Folding points, refreshing gauges and telling every sink what it has not heard: by one leader, in bounded time."""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from collections.abc import Sequence
from datetime import timedelta
from time import monotonic

from pydantic import Field

from aiprod.catalog import Catalog
from aiprod.ledger import Ledger, cursors, history, leases, points
from aiprod.ledger.engine import now as database_now
from aiprod.metrics import gauges
from aiprod.metrics.configured import sinks_of
from aiprod.metrics.sinks import LedgerSink, Sent, Sink
from aiprod.models import Noun

__all__ = ["Flushed", "flush", "push"]

log = logging.getLogger(__name__)

#: Points folded per transaction; a longer queue takes more transactions, not a longer one.
_BATCH = 5_000
_LEASE = "metrics"
#: How much longer than its work a leader keeps its lease: then another takes over.
_MARGIN = timedelta(seconds=15)
#: Old notes are deleted a few at a time, and so many times per flush.
_PRUNES = 4


class Flushed(Noun):
    """What one flush did. `leader` is False where another process is at it: then only points were folded."""

    folded: int
    leader: bool = False
    #: How many series each sink took.
    sent: dict[str, int] = Field(default_factory=dict)
    refused: dict[str, int] = Field(default_factory=dict)
    #: One line per sink that did not take everything.
    troubles: tuple[str, ...] = ()


def push(ledger: Ledger, catalog: Catalog, *, sinks: Sequence[Sink] | None = None, seconds: float = 1.9) -> int:
    """Fold waiting points and refresh the gauges, then tell the sinks as far as `seconds` go; return how many were folded.

    For the end of a job, which may take two seconds: whatever the sinks do, it takes no longer than `seconds` in all, and
    what they did not take is told later.
    """
    ends = monotonic() + seconds
    if sinks is None:
        sinks = sinks_of(ledger)
    folded = _gather(ledger, catalog, sinks)
    left = max(0.0, ends - monotonic())
    # A daemon: a sink that hangs in spite of its timeouts is left behind with its thread.
    teller = threading.Thread(target=_tell_quietly, args=(ledger, sinks, left), daemon=True)
    teller.start()
    teller.join(left)
    return folded


def flush(ledger: Ledger, catalog: Catalog, *, sinks: Sequence[Sink] | None = None, seconds: float = 40.0) -> Flushed:
    """Fold, refresh and tell every sink, as the one leader; return what came of it. Never raises for a sink.

    Series are cumulative, so doing it twice, or losing power in between, counts nothing twice.
    """
    if sinks is None:
        sinks = sinks_of(ledger)
    folded = _gather(ledger, catalog, sinks)
    return _tell(ledger, sinks, seconds).model_copy(update={"folded": folded})


def _gather(ledger: Ledger, catalog: Catalog, sinks: Sequence[Sink]) -> int:
    folded = _fold(ledger)
    gauges.refresh(ledger, catalog, [sink.name for sink in sinks if sink.name != LedgerSink.name])
    return folded + _fold(ledger)


def _fold(ledger: Ledger) -> int:
    folded = 0
    while True:
        with ledger.write() as conn:
            batch = points.fold(conn, limit=_BATCH)
        folded += batch
        if batch < _BATCH:
            return folded


def _tell_quietly(ledger: Ledger, sinks: Sequence[Sink], seconds: float) -> None:
    try:
        for trouble in _tell(ledger, sinks, seconds).troubles:
            log.info("%s", trouble)
    except Exception:
        log.exception("the sinks were not told; they are told by the next flush")


def _tell(ledger: Ledger, sinks: Sequence[Sink], seconds: float) -> Flushed:
    """Tell the sinks one after the other, each with its share of the time that is left."""
    owner = f"{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
    ends = monotonic() + seconds
    with ledger.write() as conn:
        now = database_now(conn)
        if not leases.take(conn, _LEASE, owner, lasts=timedelta(seconds=seconds) + _MARGIN, now=now):
            return Flushed(folded=0)
    sent: dict[str, int] = {}
    refused: dict[str, int] = {}
    troubles: list[str] = []
    try:
        for n, sink in enumerate(sinks):
            share = (ends - monotonic()) / (len(sinks) - n)
            told = _tell_one(ledger, sink, share) if share > 0 else Sent(trouble="no time was left")
            sent[sink.name], refused[sink.name] = len(told.stored), len(told.refused)
            troubles += [f"{sink.name}: {told.trouble}"] if told.trouble else []
            troubles += [f"{sink.name} refuses {each.series.name}{each.series.labels}: {each.why}" for each in told.refused]
        _forget(ledger)
    finally:
        with ledger.write() as conn:
            leases.release(conn, _LEASE, owner)
    return Flushed(folded=0, leader=True, sent=sent, refused=refused, troubles=tuple(troubles))


def _tell_one(ledger: Ledger, sink: Sink, seconds: float) -> Sent:
    """Send what is due, then move the cursor: never the other way round. A cursor that was not moved costs a repeat."""
    with ledger.read() as conn:
        now = database_now(conn)
        batch = cursors.due(conn, sink.name, now=now, gap=sink.gap, heartbeat=sink.heartbeat)
    if not batch:
        return Sent()
    try:
        told = sink.send(batch, now, seconds=seconds)
    except Exception as error:
        # A sink that breaks its contract must not keep the others from being told.
        log.exception("%s broke its contract", sink.name)
        return Sent(trouble=f"{type(error).__name__}")
    if told.stored or told.refused:
        with ledger.write() as conn:
            cursors.ack(conn, sink.name, told.stored, ended_at=now)
            cursors.refuse(conn, sink.name, told.refused, now=now)
    return told


def _forget(ledger: Ledger) -> None:
    """Delete notes that no window reaches any more."""
    for _ in range(_PRUNES):
        with ledger.write() as conn:
            if history.prune(conn, before=database_now(conn) - history.KEPT) == 0:
                return
