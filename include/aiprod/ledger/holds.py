"""T1's money: lock every cap, check all that can refuse, set the holds aside; on Postgres all of it in one statement.

A hold comes alone or with others: those of a job's shots, or of a batch. Together they cost one round trip, and one stay
at the rows that everybody waits for.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection

from aiprod.budgets import Cap
from aiprod.ledger import hold_statements
from aiprod.ledger.schema import epoch_microseconds
from aiprod.models import Micros

__all__ = ["NOTHING", "Leg", "Taken", "Wanted", "gate", "sent", "take"]


@dataclass(frozen=True)
class Wanted:
    """One hold: its purchase's columns, the caps it counts against, and for a render the choice that led to it, as JSON."""

    purchase: Mapping[str, Any]
    limits: Sequence[Cap]
    decision: str | None = None

    @property
    def purchase_id(self) -> str:
        return str(self.purchase["purchase_id"])

    @property
    def hold(self) -> Micros:
        return int(self.purchase["hold"])


class Leg(NamedTuple):
    """One cap as the holds met it, locked. `free` in micro-dollars, before them."""

    cap_id: int
    kind: str
    key: str
    free: Micros
    #: Whether its amount is the configuration's, or a person's.
    current: bool
    #: Whether all the holds under it fit together.
    fits: bool
    crosses: bool


class Taken(NamedTuple):
    """What came of trying: which purchases were placed, and the caps that were locked; none when one is missing or
    follows another amount.
    """

    placed: frozenset[str]
    legs: tuple[Leg, ...]

    @property
    def complete(self) -> bool:
        """Whether every cap is there, locked, with the amount it should have."""
        return bool(self.legs) and all(leg.current for leg in self.legs)


NOTHING = Taken(placed=frozenset(), legs=())


def take(conn: Connection, wanted: Sequence[Wanted], *, probing: bool = False, queued: bool = False) -> Taken:
    """Place different holds, each under every cap of its own, or change nothing.

    None is placed when a cap is missing, outdated or too short for all of them together; when the paying door is shut
    for one; or when a backend is unhealthy, unless this caller is `probing`. Else only those are left out whose
    purchase, or another live one, is there already. The caps are locked until the transaction ends; who has them
    locked already says `queued`.
    """
    asked = _Asked(wanted)
    carried = asked.sent(probing=probing)
    if conn.dialect.name == "postgresql":
        if not queued:
            _queue(conn, asked.limits)
        rows = conn.execute(hold_statements.in_one(), carried).all()
        return Taken(placed=frozenset(rows[0].placed or () if rows else ()), legs=_legs(rows))
    rows = conn.execute(hold_statements.look(), carried).all()
    fit = bool(rows) and all(row.current and row.fits and row.door for row in rows)
    return Taken(placed=_placed_in_steps(conn, asked, rows, carried) if fit else frozenset(), legs=_legs(rows))


class _Asked:
    """Some holds and their caps, each once and numbered; `pairs` are (hold, number of a cap)."""

    def __init__(self, wanted: Sequence[Wanted]) -> None:
        self.wanted = wanted
        self.limits: list[Cap] = []
        self.pairs: list[tuple[Wanted, int]] = []
        numbers: dict[tuple[object, ...], int] = {}
        for one in wanted:
            for cap in one.limits:
                c = numbers.setdefault((cap.kind, cap.key, cap.cap, cap.warn), len(numbers))
                if c == len(self.limits):
                    self.limits.append(cap)
                self.pairs.append((one, c))

    def sent(self, *, probing: bool) -> dict[str, Any]:
        """What the statements carry."""
        totals = _totals(self.pairs)
        limits = [
            {"c": c, "kind": cap.kind, "key": cap.key, "cap": cap.cap, "warn": cap.warn, "total": totals[c]}
            for c, cap in enumerate(self.limits)
        ]
        legs = [{"purchase_id": one.purchase_id, "c": c, "hold": one.hold} for one, c in self.pairs]
        return {
            "holds": _rows(self.wanted), "caps": json.dumps(limits), "legs": json.dumps(legs), "caps_count": len(limits),
            "probing": probing,
        }  # fmt: skip


def _totals(pairs: Iterable[tuple[Wanted, int]]) -> Counter[int]:
    """What holds want together, in micro-dollars, by cap."""
    found: Counter[int] = Counter()
    for one, c in pairs:
        found[c] += one.hold
    return found


def _rows(wanted: Iterable[Wanted]) -> str:
    return json.dumps([{**one.purchase, "decision": one.decision} for one in wanted], default=_stored)


def _stored(value: object) -> int:
    """A time as the tables have it."""
    if not isinstance(value, datetime):
        raise TypeError(f"{value!r} is nothing that a purchase has")
    return epoch_microseconds(value)


def _queue(conn: Connection, limits: Sequence[Cap]) -> None:
    """Stand in Postgres's queue for the hottest cap before touching a row.

    Row locks have no queue: at each commit everybody who waits for the row wakes, and one wins. 64 clients placed 13
    holds a second that way, and some waited for ever. An advisory lock wakes one, the one that came first.
    """
    conn.execute(hold_statements.STAND, {"gate": gate(limits)})


def gate(limits: Sequence[Cap]) -> int:
    """The number of the queue before some caps: that of the hottest."""
    hottest = max(limits, key=lambda cap: cap.rank)
    return int.from_bytes(hashlib.sha256(hottest.key.encode()).digest()[:8], signed=True)


def sent(wanted: Sequence[Wanted]) -> dict[str, Any]:
    """What the statement that places some holds carries, by parameter."""
    return _Asked(wanted).sent(probing=False)


def _placed_in_steps(conn: Connection, asked: _Asked, rows: Sequence[Any], sent: dict[str, Any]) -> frozenset[str]:
    """SQLite: its one writer is us, so several statements are as safe as one."""
    steps = hold_statements.steps()
    made = frozenset(conn.execute(steps["purchases"], sent).scalars())
    if made:
        ids = {row.c: row.cap_id for row in rows}
        pairs = [(one, ids[c]) for one, c in asked.pairs if one.purchase_id in made]
        under = [{"purchase_id": one.purchase_id, "cap_id": cap_id} for one, cap_id in pairs]
        conn.execute(steps["legs"], {"under": json.dumps(under)})
        conn.execute(steps["caps"], [{"of": cap_id, "more": more} for cap_id, more in _totals(pairs).items()])
        placed = [one for one in asked.wanted if one.purchase_id in made]
        carried = {"holds": _rows(placed)}
        conn.execute(steps["postings"], carried)
        if any(one.decision is not None for one in placed):
            conn.execute(steps["decisions"], carried)
    return made


def _legs(rows: Iterable[Any]) -> tuple[Leg, ...]:
    return tuple(Leg(*(getattr(row, name) for name in Leg._fields)) for row in rows)
