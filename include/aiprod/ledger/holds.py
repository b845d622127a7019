"""T1's money: lock every cap, check all that can refuse, set the hold aside; on Postgres all of it in one statement."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Select,
    and_,
    bindparam,
    exists,
    false,
    func,
    insert,
    literal,
    literal_column,
    not_,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from aiprod.budgets import Cap
from aiprod.ledger import gates, health
from aiprod.ledger.schema import caps, legs, postings, purchases
from aiprod.models import Micros, Noun

__all__ = ["NOTHING", "Leg", "Taken", "take"]

_HELD = (
    "purchase_id", "job_id", "version", "kind", "subject", "sequence", "round", "backend", "model", "request", "request_sha",
    "envelope", "hold", "state", "expires_at", "created_at", "updated_at",
)  # fmt: skip
#: Named apart from columns: SQLAlchemy takes a parameter that is called like a column for that column's value.
_NEW = {name: bindparam(f"new_{name}", type_=purchases.c[name].type) for name in _HELD}
_POSTING = {
    "purchase_id": _NEW["purchase_id"],
    "kind": literal("hold"),
    "d_reserved": _NEW["hold"],
    "d_settled": literal(0),
    "dedup": bindparam("dedup_by", type_=postings.c.dedup.type),
    "at": _NEW["created_at"],
}
#: Never reads `overrun`: a cap that was overbilled stays closed.
_FREE = caps.c.cap - caps.c.reserved - caps.c.settled
_FITS = _NEW["hold"] <= _FREE
_CROSSES = and_(
    caps.c.warn.is_not(None), caps.c.warned_at.is_(None), caps.c.reserved + caps.c.settled + _NEW["hold"] >= caps.c.warn
)
_DOOR_OPEN = and_(
    not_(gates.shut(_NEW["job_id"])),
    or_(bindparam("probing", type_=Boolean()), not_(health.resting(_NEW["backend"]))),
)


class Leg(Noun):
    """One cap as the hold met it, locked. `free` in micro-dollars, before the hold."""

    cap_id: int
    kind: str
    key: str
    free: Micros
    #: Whether its amount is the configuration's, or a person's.
    current: bool
    fits: bool
    crosses: bool


class Taken(Noun):
    """What came of trying: placed, or the caps that were locked; none when one is missing or follows another amount."""

    placed: bool
    legs: tuple[Leg, ...]

    @property
    def complete(self) -> bool:
        """Whether every cap is there, locked, with the amount it should have."""
        return bool(self.legs) and all(leg.current for leg in self.legs)


NOTHING = Taken(placed=False, legs=())


def take(conn: Connection, purchase: dict[str, Any], limits: Sequence[Cap], *, probing: bool = False) -> Taken:
    """Place one hold under every cap, or change nothing.

    Not placed when a cap is missing, outdated or short; when the paying door is shut; when the backend is
    unhealthy, unless this caller is `probing`; or when the purchase, or another live one, is there already.
    The caps are locked until the transaction ends.
    """
    given: dict[str, Any] = {f"new_{name}": value for name, value in purchase.items()}
    given |= {"dedup_by": f"{purchase['purchase_id']}.hold", "probing": probing}
    for n, cap in enumerate(limits):
        given |= {f"kind{n}": cap.kind, f"key{n}": cap.key, f"cap{n}": cap.cap, f"warn{n}": cap.warn}
    if conn.dialect.name == "postgresql":
        _queue(conn, limits)
        rows = conn.execute(_in_one(len(limits)), given).all()
        return Taken(placed=bool(rows) and rows[0].placed, legs=_legs(rows))
    rows = conn.execute(_look(len(limits)), given).all()
    placed = bool(rows) and all(row.current and row.fits and row.door for row in rows) and _placed_in_steps(conn, rows, given)
    return Taken(placed=placed, legs=_legs(rows))


def _queue(conn: Connection, limits: Sequence[Cap]) -> None:
    """Stand in Postgres's queue for the hottest cap before touching a row.

    Row locks have no queue: at each commit everybody who waits for the row wakes, and one wins. 64 clients placed 13
    holds a second that way, and some waited for ever. An advisory lock wakes one, the one that came first.
    """
    hottest = max(limits, key=lambda cap: cap.rank)
    conn.execute(_STAND, {"gate": int.from_bytes(hashlib.sha256(hottest.key.encode()).digest()[:8], signed=True)})


def _placed_in_steps(conn: Connection, rows: Sequence[Any], given: dict[str, Any]) -> bool:
    """SQLite: its one writer is us, so several statements are as safe as one."""
    if conn.execute(_INSERT_SQLITE, given).first() is None:
        return False
    ids = [row.cap_id for row in rows]
    conn.execute(insert(legs), [{"purchase_id": given["new_purchase_id"], "cap_id": cap_id} for cap_id in ids])
    conn.execute(_RESERVE, [{"of": cap_id, "new_hold": given["new_hold"]} for cap_id in ids])
    conn.execute(_POST, given)
    return True


def _legs(rows: Sequence[Any]) -> tuple[Leg, ...]:
    return tuple(Leg(**{name: getattr(row, name) for name in Leg.model_fields}) for row in rows)


@cache
def _look(count: int) -> Select[*tuple[Any, ...]]:
    """Lock `count` caps in the one order, coldest first, provided that all of them are there and current."""
    terms = ("kind", "key", "cap", "warn")
    rows = [select(*(bindparam(f"{of}{n}", type_=caps.c[of].type).label(of) for of in terms)) for n in range(count)]
    wanted = union_all(*rows).cte("wanted")
    named = caps.join(wanted, and_(caps.c.kind == wanted.c.kind, caps.c.key == wanted.c.key))
    as_configured = and_(caps.c.cap == wanted.c.cap, caps.c.warn.is_not_distinct_from(wanted.c.warn))
    current = or_(caps.c.set_by.is_not(None), caps.c.kind == literal_column("'envelope'"), as_configured)
    # Rows are only locked when nothing has to be created first: who waits for an insert must not hold a hotter row.
    there = select(func.count() == literal_column(str(count))).select_from(named).where(current).scalar_subquery()
    return (
        select(
            caps.c.cap_id,
            caps.c.kind,
            caps.c.key,
            _FREE.label("free"),
            current.label("current"),
            _FITS.label("fits"),
            _CROSSES.label("crosses"),
            _DOOR_OPEN.label("door"),
        )
        .select_from(named)
        .where(there)
        .order_by(caps.c.lock_rank, caps.c.cap_id)
        .with_for_update(of=caps)
    )


@cache
def _in_one(count: int) -> Select[Any]:
    """Postgres: between the lock and the commit lies one round trip, whatever the number of caps.

    READ COMMITTED is enough: FOR UPDATE reads the newest version of a row it waited for, and so does UPDATE.
    """
    locked = _look(count).cte("locked")
    every = func.bool_and(and_(locked.c.current, locked.c.fits, locked.c.door))
    fit = select(func.coalesce(every, false()).label("all")).cte("fit")
    made = (
        postgresql.insert(purchases)
        .from_select(list(_NEW), select(*_NEW.values()).select_from(fit).where(fit.c.all))
        .on_conflict_do_nothing()
        .returning(purchases.c.purchase_id)
        .cte("made")
    )
    placed = select(made.c.purchase_id, locked.c.cap_id).select_from(locked.join(made, true())).cte("placed")
    legged = insert(legs).from_select(["purchase_id", "cap_id"], select(placed))
    moved = update(caps).values(reserved=caps.c.reserved + _NEW["hold"]).where(caps.c.cap_id == placed.c.cap_id)
    posted = insert(postings).from_select(list(_POSTING), select(*_POSTING.values()).select_from(made))
    done = exists(select(made.c.purchase_id)).label("placed")
    return select(locked, done).add_cte(legged.cte("legged"), moved.cte("moved"), posted.cte("posted"))


#: Longer than a hundred take, shorter than `statement_timeout`: who queues is not sent back to the end of the queue.
_STAND = select(
    func.set_config("lock_timeout", "4s", literal_column("true")),
    func.pg_advisory_xact_lock(bindparam("gate", type_=BigInteger())),
)
_INSERT_SQLITE = sqlite.insert(purchases).values(_NEW).on_conflict_do_nothing().returning(literal(1))
_RESERVE = update(caps).where(caps.c.cap_id == bindparam("of")).values(reserved=caps.c.reserved + _NEW["hold"])
_POST = insert(postings).values(_POSTING)
