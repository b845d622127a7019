"""Caps and their balances: opening, locking, moving. Every move is one UPDATE of locked rows plus a posting."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Row, case, insert, select, update

from aiprod.budgets import Cap
from aiprod.ledger import outbox
from aiprod.ledger.insertion import insert_once
from aiprod.ledger.schema import caps, legs, postings
from aiprod.models import Micros, Noun

__all__ = ["Balance", "balance", "headroom", "lock", "lock_legs", "move", "opened", "reserve", "warn_if_crossed"]


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


def opened(conn: Connection, wanted: Sequence[Cap]) -> list[int]:
    """Return the ids of the caps, creating rows of caps not met before, in lock order."""
    ids = []
    # New rows are locked by inserting them, so they too come coldest first.
    for cap in sorted(wanted, key=lambda cap: (cap.rank, cap.key)):
        insert_once(
            conn,
            caps,
            {
                "kind": cap.kind,
                "key": cap.key,
                "stripe": 0,
                "lock_rank": cap.rank,
                "cap": cap.cap,
                "warn": cap.warn,
                "starts_at": cap.starts_at,
                "ends_at": cap.ends_at,
            },
        )
        ids.append(conn.execute(select(caps.c.cap_id).where(caps.c.kind == cap.kind, caps.c.key == cap.key)).scalar_one())
    return ids


def lock(conn: Connection, ids: Sequence[int]) -> Sequence[Row[tuple[object, ...]]]:
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
    tightest: tuple[Micros, str] | None = None
    for cap in wanted:
        found = balance(conn, cap.kind, cap.key)
        free = found.free if found else cap.cap
        # Of two that are equally tight the wider one is named: it is the one that somebody set.
        if tightest is None or free <= tightest[0]:
            tightest = (free, cap.name)
    return tightest or (0, "budget")


def balance(conn: Connection, kind: str, key: str) -> Balance | None:
    """Return one cap as it stands, or None before its first hold."""
    row = conn.execute(select(caps).where(caps.c.kind == kind, caps.c.key == key)).mappings().first()
    if row is None:
        return None
    return Balance(**{name: row[name] for name in Balance.model_fields})


def reserve(conn: Connection, ids: Sequence[int], purchase_id: str, amount: Micros, *, now: datetime) -> None:
    """Put a hold on locked caps: legs, balances and the posting that explains them."""
    conn.execute(insert(legs), [{"purchase_id": purchase_id, "cap_id": cap_id} for cap_id in ids])
    conn.execute(update(caps).where(caps.c.cap_id.in_(ids)).values(reserved=caps.c.reserved + amount))
    _post(conn, purchase_id, "hold", amount, 0, f"{purchase_id}.hold", now=now)


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
