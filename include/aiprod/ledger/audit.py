"""The auditor: do balances, journal and purchases agree, and is nothing forgotten? Sums in SQL, changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    distinct,
    exists,
    func,
    or_,
    select,
    text,
)

from aiprod.catalog import Catalog
from aiprod.ledger.schema import OPEN, caps, legs, outbox, postings, purchases, takes
from aiprod.models import Noun

__all__ = ["Finding", "audit"]

#: Findings listed per invariant: the first shows what is wrong, a million do not show more.
_LISTED = 50
#: Beyond its lease, and beyond the vendor's longest run, a purchase is `reconcile`'s for this long.
MARGIN = timedelta(minutes=30)
#: An event that a relay took and did not deliver for this long is stuck.
UNDELIVERED = timedelta(days=1)
#: Every purchase has a leg on each of these; on the others where they apply.
ALWAYS = ("envelope", "job", "day")
#: Postgres only: sums over a large journal may take longer than any transition.
_PATIENCE = "SET LOCAL statement_timeout = '120s'"


class Finding(Noun):
    """One invariant that does not hold for one subject. Prints as a line that names both."""

    invariant: str
    subject: str
    wrong: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.subject}: {self.wrong}"


def audit(conn: Connection, *, catalog: Catalog, now: datetime) -> list[Finding]:
    """Return every invariant that does not hold (I1 to I9 of facts/ledger.md 5.6); empty when the books are in order.

    I3 and I4 compare with the vendor: that is what importing its bill is for. Run it in one snapshot (`Ledger.read`).
    """
    if conn.dialect.name == "postgresql":
        conn.execute(text(_PATIENCE))
    return [*_balances(conn), *_followed_up(conn, catalog, now), *_journal(conn), *_events(conn, now), *_legs(conn)]


def _sum(column: ColumnElement[int]) -> ColumnElement[int]:
    return func.coalesce(func.sum(column), 0)


def _posted() -> Select[*tuple[Any, ...]]:
    """What the journal says of each purchase."""
    return select(
        postings.c.purchase_id,
        func.sum(postings.c.d_reserved).label("d_reserved"),
        func.sum(postings.c.d_settled).label("d_settled"),
        func.sum(case((postings.c.kind == "hold", 1), else_=0)).label("holds"),
        func.sum(case((postings.c.kind == "close", 1), else_=0)).label("closes"),
    ).group_by(postings.c.purchase_id)


def _balances(conn: Connection) -> Iterator[Finding]:
    """I1: no balance is negative and `overrun` is exact. I2: caps, purchases and journal agree."""
    posted = _posted().subquery()
    open_hold = case((purchases.c.state.in_(OPEN), purchases.c.hold), else_=0)
    on = (
        select(
            legs.c.cap_id,
            _sum(open_hold).label("held"),
            _sum(purchases.c.charged).label("charged"),
            _sum(posted.c.d_reserved).label("d_reserved"),
            _sum(posted.c.d_settled).label("d_settled"),
        )
        .select_from(legs.join(purchases, purchases.c.purchase_id == legs.c.purchase_id))
        .outerjoin(posted, posted.c.purchase_id == legs.c.purchase_id)
        .group_by(legs.c.cap_id)
        .subquery()
    )
    n = {name: func.coalesce(on.c[name], 0) for name in ("held", "charged", "d_reserved", "d_settled")}
    used = caps.c.reserved + caps.c.settled
    over = case((used > caps.c.cap, used - caps.c.cap), else_=0)
    wrong = or_(
        caps.c.overrun != over,
        caps.c.reserved < 0,
        caps.c.reserved != n["held"],
        caps.c.reserved != n["d_reserved"],
        caps.c.settled != n["charged"],
        caps.c.settled != n["d_settled"],
    )
    columns: list[Any] = [caps, over.label("over"), *(value.label(name) for name, value in n.items())]
    statement = select(*columns).select_from(caps.outerjoin(on, on.c.cap_id == caps.c.cap_id)).where(wrong)
    for row in conn.execute(statement.order_by(caps.c.cap_id).limit(_LISTED)):
        name = f"cap {row.kind} {row.key}"
        if row.overrun != row.over or row.reserved < 0:
            yield Finding(
                invariant="I1", subject=name, wrong=f"overrun {row.overrun}, should be {row.over}; reserved {row.reserved}"
            )
        if not row.reserved == row.held == row.d_reserved:
            said = f"reserved {row.reserved}, open holds {row.held}, postings {row.d_reserved}"
            yield Finding(invariant="I2", subject=name, wrong=said)
        if not row.settled == row.charged == row.d_settled:
            said = f"settled {row.settled}, charged {row.charged}, postings {row.d_settled}"
            yield Finding(invariant="I2", subject=name, wrong=said)


def _followed_up(conn: Connection, catalog: Catalog, now: datetime) -> Iterator[Finding]:
    """I5: what was lost or never ends is parked, and a take is of a paid render. I8: no request is older than its lease."""
    longest = max((entry.max_run_seconds for entry in catalog.backends.values()), default=0)
    since = func.coalesce(purchases.c.submitted_at, purchases.c.created_at)
    late = [
        and_(purchases.c.backend == name, since < now - timedelta(seconds=entry.max_run_seconds) - MARGIN)
        for name, entry in catalog.backends.items()
    ]
    # Of a backend that left the catalogue nobody knows how long it takes.
    unlisted = and_(purchases.c.backend.not_in(list(catalog.backends)), since < now - timedelta(seconds=longest) - MARGIN)
    forgotten = and_(purchases.c.state.in_(("unknown", "submitted")), purchases.c.parked_at.is_(None), or_(unlisted, *late))
    statement = select(purchases).where(forgotten).order_by(purchases.c.purchase_id).limit(_LISTED)
    for row in conn.execute(statement):
        said = f"{row.state} at {row.backend} for longer than a render can take, and not parked"
        yield Finding(invariant="I5", subject=f"purchase {row.purchase_id}", wrong=said)
    paid = exists().where(purchases.c.purchase_id == takes.c.take_id, purchases.c.state == "succeeded")
    for take_id in conn.execute(select(takes.c.take_id).where(~paid).order_by(takes.c.take_id).limit(_LISTED)).scalars():
        yield Finding(invariant="I5", subject=f"take {take_id}", wrong="its purchase did not succeed")
    stale = and_(
        purchases.c.state == "submitting", or_(purchases.c.lease_until.is_(None), purchases.c.lease_until < now - MARGIN)
    )
    for row in conn.execute(select(purchases).where(stale).order_by(purchases.c.purchase_id).limit(_LISTED)):
        said = f"submitting at {row.backend}, and its lease ran out at {row.lease_until or 'no time'}"
        yield Finding(invariant="I8", subject=f"purchase {row.purchase_id}", wrong=said)


def _journal(conn: Connection) -> Iterator[Finding]:
    """I6: one hold posting, one close posting once it ended, their sums are the purchase's; an ended one holds nothing."""
    posted = _posted().subquery()
    n = {name: func.coalesce(posted.c[name], 0) for name in ("d_reserved", "d_settled", "holds", "closes")}
    is_open = purchases.c.state.in_(OPEN)
    left_over = or_(purchases.c.closed_at.is_(None), purchases.c.slot_until.is_not(None), purchases.c.lease_until.is_not(None))
    wrong = or_(
        n["holds"] != 1,
        n["closes"] != case((is_open, 0), else_=1),
        n["d_reserved"] != case((is_open, purchases.c.hold), else_=0),
        n["d_settled"] != func.coalesce(purchases.c.charged, 0),
        and_(~is_open, or_(left_over, purchases.c.charged.is_(None))),
    )
    columns: list[Any] = [purchases, *(value.label(name) for name, value in n.items())]
    joined = purchases.outerjoin(posted, posted.c.purchase_id == purchases.c.purchase_id)
    statement = select(*columns).select_from(joined).where(wrong).order_by(purchases.c.purchase_id).limit(_LISTED)
    for row in conn.execute(statement):
        said = (
            f"{row.state}, hold {row.hold}, charged {row.charged}, with {row.holds} hold and {row.closes} close postings "
            f"that sum up to {row.d_reserved} and {row.d_settled}"
        )
        leaves = row.state not in OPEN and (row.closed_at is None or row.slot_until is not None or row.lease_until is not None)
        said += ", and still a lease, a slot or no end" if leaves else ""
        yield Finding(invariant="I6", subject=f"purchase {row.purchase_id}", wrong=said)


def _events(conn: Connection, now: datetime) -> Iterator[Finding]:
    """I7: no event twice, and none that a relay took and cannot deliver. Nobody taking them is no fault of the books."""
    twice = select(outbox.c.event_key).group_by(outbox.c.event_key).having(func.count() > 1).order_by(outbox.c.event_key)
    for key in conn.execute(twice.limit(_LISTED)).scalars():
        yield Finding(invariant="I7", subject=f"event {key}", wrong="is written twice")
    stuck = and_(outbox.c.delivered_at.is_(None), outbox.c.tries > 0, outbox.c.created_at < now - UNDELIVERED)
    for row in conn.execute(select(outbox).where(stuck).order_by(outbox.c.id).limit(_LISTED)):
        said = f"written at {row.created_at:%Y-%m-%d %H:%M} UTC, tried, and not delivered"
        yield Finding(invariant="I7", subject=f"event {row.event_key}", wrong=said)


def _legs(conn: Connection) -> Iterator[Finding]:
    """I9: every purchase has a leg on the caps that always apply, and one at most of each kind.

    Of a day it may have two: when the zone was changed, the day of the old zone goes on until it ends. Those overlap.
    """
    dated = caps.c.kind.in_(("day", "backend_day"))
    once = case((~dated, caps.c.kind))
    windows = [
        func.max(case((caps.c.kind == kind, caps.c.starts_at))) >= func.min(case((caps.c.kind == kind, caps.c.ends_at)))
        for kind in ("day", "backend_day")
    ]
    kinds = (
        select(
            legs.c.purchase_id,
            func.count(distinct(case((caps.c.kind.in_(ALWAYS), caps.c.kind)))).label("always"),
            (func.count(once) - func.count(distinct(once)) + case((or_(*windows), 1), else_=0)).label("doubled"),
        )
        .select_from(legs.join(caps, caps.c.cap_id == legs.c.cap_id))
        .group_by(legs.c.purchase_id)
        .subquery()
    )
    wrong = or_(func.coalesce(kinds.c.always, 0) != len(ALWAYS), func.coalesce(kinds.c.doubled, 0) != 0)
    joined = purchases.outerjoin(kinds, kinds.c.purchase_id == purchases.c.purchase_id)
    statement = select(purchases.c.purchase_id, kinds.c.doubled).select_from(joined).where(wrong)
    for row in conn.execute(statement.order_by(purchases.c.purchase_id).limit(_LISTED)):
        said = "has two legs on one kind of cap" if row.doubled else f"lacks a leg on one of {', '.join(ALWAYS)}"
        yield Finding(invariant="I9", subject=f"purchase {row.purchase_id}", wrong=said)
