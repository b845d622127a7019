"""The statements of T1. What they carry comes as JSON: they stay the same, however many holds and caps there are."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    Boolean,
    ColumnElement,
    Integer,
    Select,
    SelectBase,
    Text,
    and_,
    bindparam,
    cast,
    false,
    func,
    insert,
    literal_column,
    not_,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from aiprod.ledger import gates, health
from aiprod.ledger.schema import caps, decisions, legs, postings, purchases

__all__ = ["STAND", "in_one", "look", "steps"]

#: What is sent: one JSON of each kind, so that the statement stays the same whatever it carries.
#: `c` numbers the caps; `total` is what all these holds together want of one.
_HELD = (
    "purchase_id", "job_id", "version", "kind", "subject", "sequence", "round", "backend", "model", "request", "request_sha",
    "envelope", "hold", "state", "expires_at", "created_at", "updated_at",
)  # fmt: skip
_HOLDS: Mapping[str, Any] = {**{name: purchases.c[name].type for name in _HELD}, "decision": Text()}
_CAPS: Mapping[str, Any] = {
    "c": Integer(), "kind": Text(), "key": Text(), "cap": BigInteger(), "warn": BigInteger(), "total": BigInteger()
}  # fmt: skip
_LEGS: Mapping[str, Any] = {"purchase_id": Text(), "c": Integer(), "hold": BigInteger()}


_COUNT = bindparam("caps_count", type_=Integer())
_USED = caps.c.reserved + caps.c.settled
#: Never reads `overrun`: a cap that was overbilled stays closed.
_FREE = caps.c.cap - _USED

_POSTED = ("purchase_id", "kind", "d_reserved", "d_settled", "dedup", "at")
_DECIDED = ("job_id", "version", "shot", "round", "purchase_id", "decision", "at")

#: Longer than a hundred take, shorter than `statement_timeout`: who queues is not sent back to the end of the queue.
STAND = select(
    func.set_config("lock_timeout", "4s", literal_column("true")),
    func.pg_advisory_xact_lock(bindparam("gate", type_=BigInteger())),
)


def _sent(name: str, columns: Mapping[str, Any], *, on_postgres: bool) -> SelectBase:
    """The rows of one of the JSONs that were sent."""
    if on_postgres:
        typed = ", ".join(f"{of} {'TEXT' if isinstance(type_, Text) else 'BIGINT'}" for of, type_ in columns.items())
        # Else Postgres plans for a hundred caps, and reads a table full of old ones whole.
        known = " LIMIT :caps_count" if name == "caps" else ""
        rows = f"SELECT * FROM json_to_recordset(CAST(:{name} AS JSON)) AS sent({typed}){known}"  # noqa: S608 - our own names
        return text(rows).columns(**columns)
    each = func.json_each(bindparam(name, type_=Text())).table_valued("value", name=name)
    return select(*(func.json_extract(each.c.value, f"$.{of}", type_=type_).label(of) for of, type_ in columns.items()))


def _locked(holds: CTE, *, on_postgres: bool) -> Select[Any]:
    """Lock the caps in the one order, coldest first, provided that all of them are there and current."""
    wanted = _sent("caps", _CAPS, on_postgres=on_postgres).cte("wanted")
    named = caps.join(wanted, and_(caps.c.kind == wanted.c.kind, caps.c.key == wanted.c.key))
    as_configured = and_(caps.c.cap == wanted.c.cap, caps.c.warn.is_not_distinct_from(wanted.c.warn))
    current = or_(caps.c.set_by.is_not(None), caps.c.kind == literal_column("'envelope'"), as_configured)
    # Rows are only locked when nothing has to be created first: who waits for an insert must not hold a hotter row.
    there = select(func.count() == _COUNT).select_from(named).where(current).scalar_subquery()
    crosses = and_(caps.c.warn.is_not(None), caps.c.warned_at.is_(None), _USED + wanted.c.total >= caps.c.warn)
    found = (
        select(
            wanted.c.c,
            caps.c.cap_id,
            caps.c.kind,
            caps.c.key,
            _FREE.label("free"),
            current.label("current"),
            (wanted.c.total <= _FREE).label("fits"),
            crosses.label("crosses"),
            _door_open(holds).label("door"),
        )
        .select_from(named)
        .where(there)
        .order_by(caps.c.lock_rank, caps.c.cap_id)
        .with_for_update(of=caps)
    )
    return found  # pyright: ignore[reportReturnType] - nine columns of nine types


def _door_open(holds: CTE) -> ColumnElement[bool]:
    healthy = or_(bindparam("probing", type_=Boolean()), not_(health.resting(select(holds.c.backend))))
    return and_(not_(gates.shut(select(holds.c.job_id))), healthy)


@cache
def in_one() -> Select[Any]:
    """Postgres: between the lock and the commit lies one round trip, whatever the number of holds and caps.

    READ COMMITTED is enough: FOR UPDATE reads the newest version of a row it waited for, and so does UPDATE.
    """
    holds = _sent("holds", _HOLDS, on_postgres=True).cte("holds")
    locked = _locked(holds, on_postgres=True).cte("locked")
    every = func.bool_and(and_(locked.c.current, locked.c.fits, locked.c.door))
    fit = select(func.coalesce(every, false()).label("all")).select_from(locked).cte("fit")
    # Their names alone: psycopg takes a statement of more than 4096 characters apart at every execution.
    chosen: Select[*tuple[Any, ...]] = (
        select(*(literal_column(name) for name in _HELD)).select_from(holds).where(select(fit.c.all).scalar_subquery())
    )
    made = (
        postgresql.insert(purchases)
        .from_select(list(_HELD), chosen)
        .on_conflict_do_nothing()
        .returning(purchases.c.purchase_id)
        .cte("made")
    )
    by_made = holds.join(made, made.c.purchase_id == holds.c.purchase_id)
    pairs = _sent("legs", _LEGS, on_postgres=True).cte("pairs")
    under = pairs.join(made, made.c.purchase_id == pairs.c.purchase_id).join(locked, locked.c.c == pairs.c.c)
    placed = select(pairs.c.purchase_id, locked.c.cap_id, pairs.c.hold).select_from(under).cte("placed")
    total = func.sum(placed.c.hold).label("more")
    more = select(placed.c.cap_id, cast(total, BigInteger).label("more")).group_by(placed.c.cap_id).cte("more")
    legged = insert(legs).from_select(["purchase_id", "cap_id"], select(placed.c.purchase_id, placed.c.cap_id))
    moved = update(caps).values(reserved=caps.c.reserved + more.c.more).where(caps.c.cap_id == more.c.cap_id)
    posted = insert(postings).from_select(list(_POSTED), select(*_posting(holds)).select_from(by_made))
    reasons = select(*_decision(holds)).select_from(by_made).where(holds.c.decision.is_not(None))
    decided = postgresql.insert(decisions).from_select(list(_DECIDED), reasons).on_conflict_do_nothing()
    ids = select(func.array_agg(made.c.purchase_id)).scalar_subquery().label("placed")
    return select(locked, ids).add_cte(*(s.cte(f"w{n}") for n, s in enumerate((legged, moved, posted, decided))))


@cache
def look() -> Select[Any]:
    """SQLite's first step."""
    door = {name: _HOLDS[name] for name in ("job_id", "backend")}
    return _locked(_sent("holds", door, on_postgres=False).cte("holds"), on_postgres=False)


@cache
def steps() -> dict[str, Any]:
    """SQLite's other steps, by the table they write."""
    holds = _sent("holds", _HOLDS, on_postgres=False).subquery("held")
    under = _sent("under", {name: legs.c[name].type for name in ("purchase_id", "cap_id")}, on_postgres=False)
    # `WHERE true`: without it SQLite takes ON CONFLICT for a join's ON.
    new = select(*(holds.c[name] for name in _HELD)).where(true())
    made = sqlite.insert(purchases).from_select(list(_HELD), new).on_conflict_do_nothing().returning(purchases.c.purchase_id)
    reasons = select(*_decision(holds)).where(holds.c.decision.is_not(None))
    return {
        "purchases": made,
        "legs": insert(legs).from_select(["purchase_id", "cap_id"], under),
        "caps": update(caps).where(caps.c.cap_id == bindparam("of")).values(reserved=caps.c.reserved + bindparam("more")),
        "postings": insert(postings).from_select(list(_POSTED), select(*_posting(holds))),
        "decisions": sqlite.insert(decisions).from_select(list(_DECIDED), reasons).on_conflict_do_nothing(),
    }


def _posting(holds: Any) -> list[ColumnElement[Any]]:
    of = holds.c
    dedup = of.purchase_id + literal_column("'.hold'")
    return [of.purchase_id, literal_column("'hold'"), of.hold, literal_column("0"), dedup, of.created_at]


def _decision(holds: Any) -> list[ColumnElement[Any]]:
    of = holds.c
    return [of.job_id, of.version, cast(of.subject, Integer), of.round, of.purchase_id, of.decision, of.created_at]
