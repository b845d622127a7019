"""What a sink promises: it takes series as often as it likes, says which it has, and loses nothing of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from aiprod.ledger import Ledger, history
from aiprod.ledger.cursors import Refused
from aiprod.ledger.points import Series

__all__ = ["LedgerSink", "Sent", "Sink"]


@dataclass(frozen=True)
class Sent:
    """What came of telling a sink. What is neither stored nor refused is told again; a repeat is never counted twice."""

    stored: tuple[Series, ...] = ()
    #: What the sink will not take, whenever it is told.
    refused: tuple[Refused, ...] = ()
    #: Why the rest is not stored, in few words; empty where nothing is amiss.
    trouble: str = ""


class Sink(Protocol):
    """One place that series are sent to. Its own cursor says how far it is."""

    name: str
    #: Two points of one series are at least this far apart.
    gap: timedelta
    #: A series that did not change is told again after this long: a service forgets who is silent.
    heartbeat: timedelta

    def send(self, batch: Sequence[Series], ended_at: datetime, *, seconds: float) -> Sent:
        """Tell the totals of some series as of `ended_at`, in `seconds` at most. Raises nothing that the network causes."""
        ...


class LedgerSink:
    """The ledger itself: what the series said, minute by minute, for alerts over a window of time."""

    name = "ledger"
    gap = timedelta(seconds=20)
    heartbeat = timedelta(hours=6)

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def send(self, batch: Sequence[Series], ended_at: datetime, *, seconds: float) -> Sent:
        """Note what the series say."""
        with self._ledger.write() as conn:
            history.keep(conn, batch, at=ended_at)
        return Sent(stored=tuple(batch))
