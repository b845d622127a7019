"""What was charged in a period, posting by posting: the one source of every report about money spent."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select

from aiprod.ledger.schema import postings, purchases
from aiprod.ledger.states import State
from aiprod.models import Micros, Noun

__all__ = ["Charge", "charges", "settled_between"]


class Charge(Noun):
    """One posting that ended or corrected a purchase, with what it was bought as. Micro-dollars."""

    purchase_id: str
    backend: str
    model: str
    state: State
    cost_source: str | None
    hold: Micros
    #: Whether this ended the purchase; else it corrected its charge.
    ended: bool
    amount: Micros


def charges(conn: Connection, since: datetime, until: datetime) -> list[Charge]:
    """Return every posting of the half-open period that ended or corrected a purchase, oldest first."""
    asked = (
        select(postings.c.kind.label("posting"), postings.c.d_settled, purchases)
        .join(purchases, purchases.c.purchase_id == postings.c.purchase_id)
        .where(postings.c.kind.in_(("close", "adjust")), postings.c.at >= since, postings.c.at < until)
        .order_by(postings.c.posting_id)
    )
    names = ("purchase_id", "backend", "model", "state", "cost_source", "hold")
    return [
        Charge(**{name: row[name] for name in names}, ended=row["posting"] == "close", amount=row["d_settled"])
        for row in conn.execute(asked).mappings()
    ]


def settled_between(conn: Connection, since: datetime, until: datetime) -> Micros:
    """Return the sum of everything settled in the half-open period."""
    inside = (postings.c.at >= since, postings.c.at < until)
    return int(conn.execute(select(func.coalesce(func.sum(postings.c.d_settled), 0)).where(*inside)).scalar_one())
