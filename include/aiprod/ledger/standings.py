"""Every cap as it stands on a day: what people look at before and after they set one."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, or_, select

from aiprod.budgets import LOCK_ORDER, Cap, Scope, cap_on, day_window
from aiprod.catalog import Catalog
from aiprod.ledger.limits import Word, words
from aiprod.ledger.schema import OPEN, caps, legs, purchases
from aiprod.models import Micros, Noun

__all__ = ["Standing", "standing", "today"]


class Standing(Noun):
    """One cap as it stands. Amounts in micro-dollars; the window is half-open, UTC, and None for a cap that never ends."""

    scope: str
    kind: str
    key: str
    cap: Micros
    held: Micros = 0
    charged: Micros = 0
    overrun: Micros = 0
    warn: Micros | None = None
    warned_at: datetime | None = None
    set_by: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    #: Whether new purchases are counted here: not, when its word was cleared and the configuration has no such cap.
    applies: bool = True

    @property
    def left(self) -> Micros:
        return max(0, self.cap - self.held - self.charged)


def standing(
    conn: Connection, catalog: Catalog, *, now: datetime, day: date | None = None, everything: bool = False
) -> list[Standing]:
    """Return every cap of a day (today without one) as the next hold would find it, widest first.

    `everything` adds the jobs and envelopes that bought something that day or have a purchase open.
    """
    said = words(conn)
    today, starts_at, ends_at = day_window(now, catalog.zone)
    if day is not None and day != today:
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=catalog.zone)
        _, starts_at, ends_at = day_window(noon, catalog.zone)
    at = starts_at
    names = [Scope(kind="day")]
    names += [Scope(kind="backend", name=name) for name in catalog.backends]
    names += [Scope(kind="project", name=name) for name in catalog.budgets.project_usd]
    names += [scope for scope in map(Scope.parse, said) if scope not in names]
    amounts = {scope: word.amount for scope, word in said.items()}
    expected = {(c.kind, c.key): c for c in (cap_on(s, catalog, now=at, words=amounts) for s in names) if c is not None}
    found = {}
    for row in conn.execute(_rows_of(starts_at, ends_at, everything)).all():
        cap = expected.pop((row.kind, row.key), None)
        # A cap nobody set by hand is brought up to the configuration by the next hold; earlier days stay as they were.
        fresh = cap if cap is not None and row.set_by is None and day in (None, today) else None
        found[row.kind, row.key] = _standing(row, said=said, fresh=fresh, expected=cap is not None)
    for cap in expected.values():
        scope = _scope_of(cap.kind, cap.key)
        by = said[scope].by if scope in said else None
        found[cap.kind, cap.key] = Standing(scope=scope, set_by=by, **cap.model_dump())
    rank = {kind: n for n, kind in enumerate(reversed(LOCK_ORDER))}
    return sorted(found.values(), key=lambda cap: (rank[cap.kind], cap.key))  # type: ignore[index]


def today(conn: Connection, catalog: Catalog, *, now: datetime) -> Standing:
    """Return the day's cap as the next hold would find it, whether set by hand, configured, or never used yet."""
    day, _, _ = day_window(now, catalog.zone)
    key = f"{day.isoformat()}@{catalog.budgets.zone}"
    return next(cap for cap in standing(conn, catalog, now=now) if (cap.kind, cap.key) == ("day", key))


def _rows_of(starts_at: datetime, ends_at: datetime, everything: bool) -> Select[tuple[Any, ...]]:
    overlap = and_(caps.c.starts_at < ends_at, caps.c.ends_at > starts_at)
    wanted: ColumnElement[bool] = or_(overlap, caps.c.kind.in_(("project", "campaign")))
    if everything:
        of_day = and_(purchases.c.created_at >= starts_at, purchases.c.created_at < ends_at)
        touched = (
            select(legs.c.cap_id)
            .join(purchases, purchases.c.purchase_id == legs.c.purchase_id)
            .where(or_(of_day, purchases.c.state.in_(OPEN)))
        )
        wanted = or_(wanted, and_(caps.c.kind.in_(("job", "envelope")), caps.c.cap_id.in_(touched)))
    return select(caps).where(wanted)


def _scope_of(kind: str, key: str) -> str:
    """The scope a person would type for a row; an envelope has none and keeps its own name."""
    if kind == "day":
        return "day"
    return f"backend:{key.split(':', 1)[0]}" if kind == "backend_day" else f"{kind}:{key}"


def _standing(
    row: Row[tuple[object, ...]], *, said: dict[str, Word], fresh: Cap | None = None, expected: bool = True
) -> Standing:
    scope, used = _scope_of(row.kind, row.key), row.reserved + row.settled
    word = said.get(scope)
    cap = fresh.cap if fresh else row.cap
    return Standing(
        scope=scope,
        kind=row.kind,
        key=row.key,
        cap=cap,
        held=row.reserved,
        charged=row.settled,
        overrun=max(0, used - cap),
        warn=fresh.warn if fresh else row.warn,
        warned_at=row.warned_at,
        set_by=row.set_by or (word.by if word else None),
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        applies=expected or row.kind != "project",
    )
