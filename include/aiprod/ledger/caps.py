"""Caps and their balances: opening, locking, moving. Every move is one UPDATE of locked rows plus a posting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, bindparam, case, false, or_, select, update

from aiprod.budgets import Cap
from aiprod.ledger import outbox
from aiprod.ledger.insertion import insert_once
from aiprod.ledger.schema import caps, legs, postings
from aiprod.models import Micros, Noun

__all__ = ["Balance", "balance", "headroom", "left", "lock", "lock_legs", "move", "opened", "tightest", "warn_if_crossed"]


class Balance(Noun):
    """One cap as it stands. Micro-dollars."""

    kind: str
    key: str
    cap: Micros
    reserved: Micros
    settled: Micros
    overrun: Micros

    @property
    def free(self) -> Micros:
        """What may still be held. Never reads `overrun`: a cap that was overbilled stays closed."""
        return self.cap - self.reserved - self.settled


def opened(conn: Connection, wanted: Sequence[Cap], *, now: datetime) -> list[int]:
    """Lock the caps and return their ids in lock order, creating rows not met before and following the configuration.

    A row keeps its amount when a person set it, or when it is an envelope: those were approved.
    """
    inserted: list[bool] = []
    # New rows are locked by inserting them, so they too come coldest first.
    for cap in sorted(wanted, key=lambda cap: (cap.rank, cap.key)):
        values = {"kind": cap.kind, "key": cap.key, "stripe": 0, "lock_rank": cap.rank, "cap": cap.cap, "warn": cap.warn}
        inserted.append(insert_once(conn, caps, {**values, "starts_at": cap.starts_at, "ends_at": cap.ends_at}))
    found = _found(conn, wanted)
    if all(inserted):
        return [row.cap_id for _, row in found]
    # All of them, in order: a hotter row must never be held while a colder one is waited for.
    lock(conn, [row.cap_id for _, row in found])
    found = _found(conn, wanted)
    for cap, row in found:
        if _follows(row, cap) != (row.cap, row.warn):
            _follow(conn, row, cap, now=now)
    return [row.cap_id for _, row in found]


def _found(conn: Connection, wanted: Sequence[Cap]) -> list[tuple[Cap, Row[Any]]]:
    """The rows of the caps that have one, in lock order."""
    by_name = {(cap.kind, cap.key): cap for cap in wanted}
    rows = conn.execute(_named(len(wanted)), _names(wanted)).all()
    return [(by_name[row.kind, row.key], row) for row in rows]


@cache
def _named(count: int) -> Select[Any]:
    names = [and_(caps.c.kind == bindparam(f"kind{n}"), caps.c.key == bindparam(f"key{n}")) for n in range(count)]
    return select(caps).where(or_(false(), *names)).order_by(caps.c.lock_rank, caps.c.cap_id)


def _names(wanted: Sequence[Cap]) -> dict[str, str]:
    return {name: value for n, cap in enumerate(wanted) for name, value in ((f"kind{n}", cap.kind), (f"key{n}", cap.key))}


def _follows(row: Row[Any], cap: Cap) -> tuple[Micros, Micros | None]:
    """The amount and the warning line that a row should have: its own when it was set by hand or approved."""
    fixed = row.set_by is not None or row.kind == "envelope"
    return (row.cap, row.warn) if fixed else (cap.cap, cap.warn)


def _follow(conn: Connection, row: Row[Any], cap: Cap, *, now: datetime) -> None:
    """Give a locked row the amount of the configuration; what is used beyond it is overrun."""
    over = max(0, row.reserved + row.settled - cap.cap)
    conn.execute(update(caps).where(caps.c.cap_id == row.cap_id).values(cap=cap.cap, warn=cap.warn, overrun=over))
    if over:
        key = f"cap_lowered.{row.cap_id}.{cap.cap}"
        outbox.emit(conn, key, "cap_lowered", now=now, kind=cap.kind, key=cap.key, cap_micros=cap.cap, overrun_micros=over)


def lock(conn: Connection, ids: Sequence[int]) -> Sequence[Row[Any]]:
    """Lock cap rows in the one order everybody uses, and return them."""
    statement = select(caps).where(caps.c.cap_id.in_(ids)).order_by(caps.c.lock_rank, caps.c.cap_id).with_for_update()
    return conn.execute(statement).all()


def lock_legs(conn: Connection, purchase_id: str) -> list[int]:
    """Lock every cap a purchase has a leg on; return their ids."""
    ids = list(conn.execute(select(legs.c.cap_id).where(legs.c.purchase_id == purchase_id)).scalars())
    lock(conn, ids)
    return ids


def headroom(conn: Connection, wanted: Sequence[Cap]) -> tuple[Micros, str]:
    """Return what is left under the tightest of the caps, and its name. A cap not opened yet is all free."""
    return tightest(wanted, left(conn, wanted))


def left(conn: Connection, wanted: Sequence[Cap]) -> dict[tuple[str, str], Micros]:
    """Return what is left under each of the caps, by kind and key, in micro-dollars."""
    rows = {(row.kind, row.key): row for _, row in _found(conn, wanted)}
    free: dict[tuple[str, str], Micros] = {}
    for cap in wanted:
        row = rows.get((cap.kind, cap.key))
        free[cap.kind, cap.key] = cap.cap if row is None else _follows(row, cap)[0] - row.reserved - row.settled
    return free


def tightest(wanted: Sequence[Cap], free: Mapping[tuple[str, str], Micros]) -> tuple[Micros, str]:
    """Return the tightest of the caps: what is left under it, and its name."""
    found: tuple[Micros, str] | None = None
    for cap in wanted:
        # Of two that are equally tight the wider one is named: it is the one that somebody set.
        if found is None or free[cap.kind, cap.key] <= found[0]:
            found = (free[cap.kind, cap.key], cap.name)
    return found or (0, "budget")


def balance(conn: Connection, kind: str, key: str) -> Balance | None:
    """Return one cap as it stands, or None before its first hold."""
    row = conn.execute(select(caps).where(caps.c.kind == kind, caps.c.key == key)).mappings().first()
    if row is None:
        return None
    return Balance(**{name: row[name] for name in Balance.model_fields})


def move(
    conn: Connection, purchase_id: str, kind: str, *, d_reserved: Micros, d_settled: Micros, dedup: str, now: datetime
) -> bool:
    """Move money on all legs of a purchase, once per `dedup`; return whether it moved now.

    `overrun` is recomputed exactly: how far a bill, never a hold, has gone over the cap.
    """
    ids = lock_legs(conn, purchase_id)
    if not _post(conn, purchase_id, kind, d_reserved, d_settled, dedup, now=now):
        return False
    used = caps.c.reserved + d_reserved + caps.c.settled + d_settled
    conn.execute(
        update(caps)
        .where(caps.c.cap_id.in_(ids))
        .values(
            reserved=caps.c.reserved + d_reserved,
            settled=caps.c.settled + d_settled,
            overrun=case((used > caps.c.cap, used - caps.c.cap), else_=0),
        )
    )
    return True


def warn_if_crossed(conn: Connection, ids: Sequence[int], *, now: datetime) -> None:
    """Emit one warning per cap row, when its use first reaches `warn`."""
    if not ids:
        return
    crossed = (
        update(caps)
        .where(
            caps.c.cap_id.in_(ids),
            caps.c.warn.is_not(None),
            caps.c.warned_at.is_(None),
            caps.c.reserved + caps.c.settled >= caps.c.warn,
        )
        .values(warned_at=now)
        .returning(caps.c.cap_id, caps.c.kind, caps.c.key, caps.c.reserved, caps.c.settled, caps.c.cap)
    )
    for row in conn.execute(crossed).all():
        outbox.emit(
            conn,
            f"budget_warning.{row.cap_id}",
            "budget_warning",
            now=now,
            kind=row.kind,
            key=row.key,
            used_micros=row.reserved + row.settled,
            cap_micros=row.cap,
        )


def _post(
    conn: Connection, purchase_id: str, kind: str, d_reserved: Micros, d_settled: Micros, dedup: str, *, now: datetime
) -> bool:
    return insert_once(
        conn,
        postings,
        {
            "purchase_id": purchase_id,
            "kind": kind,
            "d_reserved": d_reserved,
            "d_settled": d_settled,
            "dedup": dedup,
            "at": now,
        },
    )
