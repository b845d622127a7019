"""Vendors' bills: kept once per content, compared with the purchases, and every difference explained."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Row, and_, func, insert, or_, select

from aiprod.billing import BillLine
from aiprod.errors import SpecError
from aiprod.ledger import outbox
from aiprod.ledger.insertion import insert_once
from aiprod.ledger.purchases import adjust
from aiprod.ledger.schema import OPEN, bill_lines, bills, postings, purchases
from aiprod.models import Micros, Noun, dollars, fingerprint

__all__ = ["Explained", "Explanation", "Kind", "book", "enter", "explain"]

Kind = Literal["matched", "other_amount", "still_open", "unknown_to_us", "not_billed"]
#: How a correction names what it corrects: a second render at the vendor, a bill's line, a credit without a charge.
_DUPLICATE = re.compile(r"^duplicate\.(?P<vendor_id>.+?)(?:\.bill\.[0-9a-f]{64}\.[0-9]+)?$")
_DAY = timedelta(days=1)


class Explained(Noun):
    """One render as the bill has it and as our books have it. Micro-dollars; `reference` names its correction."""

    kind: Kind
    vendor_id: str
    billed: Micros = 0
    ours: Micros = 0
    lines: tuple[int, ...] = ()
    purchase_id: str = ""
    what: str = ""
    reference: str = ""
    #: For what we do not know: purchases whose answer was lost about then, likeliest first.
    maybe: tuple[str, ...] = ()

    @property
    def difference(self) -> Micros:
        return self.billed - self.ours


class Explanation(Noun):
    """A bill, explained. `dated` says whether the bill tells its period: without one nothing can be missing from it."""

    bill_sha: str
    backend: str
    items: tuple[Explained, ...]
    dated: bool

    def of(self, kind: Kind) -> list[Explained]:
        return [item for item in self.items if item.kind == kind]

    @property
    def billed(self) -> Micros:
        return sum(item.billed for item in self.items)

    @property
    def ours(self) -> Micros:
        return sum(item.ours for item in self.items)


def enter(conn: Connection, backend: str, lines: Sequence[BillLine], *, source: str, by: str, now: datetime) -> tuple[str, bool]:
    """Keep a bill; return its SHA-256 and whether it is new. The same content is one bill, whatever its file looks like."""
    content = sorted([line.vendor_id, line.amount, line.billed_at.isoformat() if line.billed_at else ""] for line in lines)
    sha = fingerprint([backend, content])
    new = insert_once(conn, bills, {"bill_sha": sha, "backend": backend, "source": source, "imported_at": now, "imported_by": by})
    if new:
        conn.execute(insert(bill_lines), [{"bill_sha": sha, **line.model_dump()} for line in lines])
    return sha, new


def explain(conn: Connection, bill_sha: str, *, now: datetime) -> Explanation:
    """Compare a kept bill with the purchases, render by render; emit one alarm per render that no purchase has."""
    backend = conn.execute(select(bills.c.backend).where(bills.c.bill_sha == bill_sha)).scalar_one()
    of_id: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in conn.execute(select(bill_lines).where(bill_lines.c.bill_sha == bill_sha).order_by(bill_lines.c.line)):
        of_id[row.vendor_id].append(row)
    ours = _ours(conn, backend, bill_sha)
    items = [_compare(conn, backend, bill_sha, vendor_id, rows, ours.get(vendor_id)) for vendor_id, rows in of_id.items()]
    dates = [row.billed_at for rows in of_id.values() for row in rows]
    dated = all(dates)
    if dated:
        first, last = (day.replace(hour=0, minute=0, second=0, microsecond=0) for day in (min(dates), max(dates)))
        for vendor_id, mine in ours.items():
            inside = first <= mine.began and mine.ended is not None and mine.ended < last + _DAY
            if vendor_id not in of_id and inside and mine.charged:
                items.append(_item("not_billed", vendor_id, mine, ours=mine.charged))
    for item in items:
        if item.kind == "unknown_to_us":
            _alarm(conn, backend, bill_sha, item, now=now)
    return Explanation(bill_sha=bill_sha, backend=backend, items=tuple(items), dated=dated)


def book(conn: Connection, explanation: Explanation, *, now: datetime) -> list[Explained]:
    """Book every other amount on the purchase's original rows, once; return what was booked now.

    Raises `SpecError`, and books nothing, when a correction would leave a purchase charged less than nothing.
    """
    wanted = explanation.of("other_amount")
    below = []
    for item in wanted:
        charged = conn.execute(select(purchases.c.charged).where(purchases.c.purchase_id == item.purchase_id)).scalar() or 0
        done = conn.execute(
            select(postings.c.dedup).where(postings.c.dedup == f"{item.purchase_id}.adjust.{item.reference}")
        ).first()
        if done is None and charged + item.difference < 0:
            refund, had = dollars(-item.difference), dollars(charged)
            below.append(f"line {item.lines[0]}: a refund of {refund} is more than the {had} charged for {item.what}")
    if below:
        raise SpecError(below)
    return [i for i in wanted if adjust(conn, i.purchase_id, i.difference, reference=i.reference, now=now)]


class _Mine(Noun):
    """What our books say of one render at the vendor."""

    purchase_id: str
    what: str
    charged: Micros
    open: bool
    second: bool
    began: datetime
    ended: datetime | None


def _ours(conn: Connection, backend: str, bill_sha: str) -> dict[str, _Mine]:
    """Every render of a backend that our books know, by the vendor's id: its charge without credits and second renders."""
    doubles: dict[str, dict[str, Micros]] = defaultdict(lambda: defaultdict(int))
    credits: dict[str, Micros] = defaultdict(int)
    special = or_(postings.c.dedup.like("%.adjust.duplicate.%"), postings.c.dedup.like("%.adjust.credit.%"))
    mine = postings.join(purchases, purchases.c.purchase_id == postings.c.purchase_id)
    asked = select(postings).select_from(mine).where(purchases.c.backend == backend, postings.c.kind == "adjust", special)
    for row in conn.execute(asked):
        reference = row.dedup.removeprefix(f"{row.purchase_id}.adjust.")
        second = _DUPLICATE.match(reference)
        if second:
            doubles[row.purchase_id][second["vendor_id"]] += row.d_settled
        else:
            credits[row.purchase_id] += row.d_settled
    found: dict[str, _Mine] = {}
    for row in conn.execute(select(purchases).where(purchases.c.backend == backend, purchases.c.submitted_at.is_not(None))):
        what = f"{row.job_id} {'shot' if row.kind == 'render' else 'judgement of'} {row.subject}"
        facts = {"purchase_id": row.purchase_id, "what": what, "began": row.submitted_at, "ended": row.closed_at}
        others = doubles.get(row.purchase_id, {})
        if row.vendor_id:
            own = (row.charged or 0) - sum(others.values()) - credits[row.purchase_id]
            found[row.vendor_id] = _Mine(**facts, charged=own, open=row.state in OPEN, second=False)
        for vendor_id, amount in others.items():
            found[vendor_id] = _Mine(**facts, charged=amount, open=False, second=True)
    return found


def _compare(
    conn: Connection, backend: str, bill_sha: str, vendor_id: str, rows: Sequence[Row[Any]], mine: _Mine | None
) -> Explained:
    """What one render's lines on the bill come to."""
    billed, lines = sum(row.amount for row in rows), tuple(row.line for row in rows)
    if mine is None:
        maybe = _lost_about(conn, backend, billed, rows[0].billed_at)
        return Explained(kind="unknown_to_us", vendor_id=vendor_id, billed=billed, lines=lines, maybe=maybe)
    reference = f"bill.{bill_sha}.{lines[0]}"
    if billed < 0:
        # Less than nothing is no price: it is a credit against a charge that another bill has.
        reference = f"credit.{bill_sha}.{lines[0]}"
        dedup = f"{mine.purchase_id}.adjust.{reference}"
        booked = conn.execute(select(postings.c.d_settled).where(postings.c.dedup == dedup)).scalar() or 0
        kind: Kind = "matched" if booked == billed else "other_amount"
        return _item(kind, vendor_id, mine, billed=billed, ours=booked, lines=lines, reference=reference)
    if mine.open:
        return _item("still_open", vendor_id, mine, billed=billed, ours=mine.charged, lines=lines)
    if mine.second:
        reference = f"duplicate.{vendor_id}.{reference}"
    kind = "matched" if billed == mine.charged else "other_amount"
    return _item(kind, vendor_id, mine, billed=billed, ours=mine.charged, lines=lines, reference=reference)


def _item(
    kind: Kind,
    vendor_id: str,
    mine: _Mine,
    *,
    billed: Micros = 0,
    ours: Micros = 0,
    lines: tuple[int, ...] = (),
    reference: str = "",
) -> Explained:
    what = f"{mine.what}, a second render" if mine.second else mine.what
    return Explained(
        kind=kind,
        vendor_id=vendor_id,
        billed=billed,
        ours=ours,
        lines=lines,
        purchase_id=mine.purchase_id,
        what=what,
        reference=reference,
    )


def _lost_about(conn: Connection, backend: str, amount: Micros, when: datetime | None) -> tuple[str, ...]:
    """Purchases sent about then of which no vendor id is known, the nearest amounts first, three at most."""
    nameless = and_(purchases.c.backend == backend, purchases.c.vendor_id.is_(None), purchases.c.submitted_at.is_not(None))
    asked = select(purchases).where(nameless)
    if when is not None:
        # A date alone is its midnight: what was sent that day, or the day before, comes after or before it.
        asked = asked.where(purchases.c.submitted_at >= when - _DAY, purchases.c.submitted_at < when + 2 * _DAY)
    rows = conn.execute(asked.order_by(func.abs(purchases.c.hold - amount), purchases.c.submitted_at).limit(3)).all()
    return tuple(
        f"{r.purchase_id} ({r.job_id} shot {r.subject}, {'parked' if r.parked_at else r.state}, "
        f"sent {r.submitted_at:%Y-%m-%d %H:%M} UTC, hold {dollars(r.hold)})"
        for r in rows
    )


def _alarm(conn: Connection, backend: str, bill_sha: str, item: Explained, *, now: datetime) -> None:
    outbox.emit(
        conn,
        f"bill.{bill_sha}.{item.lines[0]}.unknown",
        "bill_unknown_charge",
        now=now,
        backend=backend,
        vendor_id=item.vendor_id,
        billed_micros=item.billed,
        maybe=list(item.maybe),
    )
