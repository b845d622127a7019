"""How far each sink has the metric series: what is due, what it took, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, and_, delete, func, or_, select, update

from aiprod.ledger import points
from aiprod.ledger.insertion import insert_once, upsert
from aiprod.ledger.points import Series, labels_key, series_of
from aiprod.ledger.schema import metric_refusals, metric_sent, metric_series

__all__ = ["QUARANTINE", "REFUSALS", "Refused", "ack", "due", "quarantined", "refuse"]

#: Who refuses a series this often is asked for it only once per `QUARANTINE`.
REFUSALS = 5
QUARANTINE = timedelta(days=1)
_MOST_SAID = 300


class Refused(NamedTuple):
    """A series that a sink will not take as it is, and why."""

    series: Series
    why: str


def due(conn: Connection, sink: str, *, now: datetime, gap: timedelta, heartbeat: timedelta, limit: int = 2_000) -> list[Series]:
    """Return the series a sink has to be told: changed ones, and unchanged ones that it has not heard of for a heartbeat.

    Never one it took less than `gap` ago; those it has not heard of longest come first.
    """
    sent, no = metric_sent, metric_refusals
    changed = or_(sent.c.revision < metric_series.c.revision, sent.c.ended_at <= now - heartbeat)
    wanted = or_(sent.c.ended_at.is_(None), and_(sent.c.ended_at <= now - gap, changed))
    asked = or_(no.c.times.is_(None), no.c.times < REFUSALS, no.c.refused_at <= now - QUARANTINE)
    statement = (
        select(metric_series)
        .outerjoin(sent, and_(sent.c.sink == sink, sent.c.name == metric_series.c.name, sent.c.labels == metric_series.c.labels))
        .outerjoin(no, and_(no.c.sink == sink, no.c.name == metric_series.c.name, no.c.labels == metric_series.c.labels))
        # A point ends after it starts: a series of this very moment waits for the next.
        .where(wanted, asked, metric_series.c.started_at < now)
        .order_by(func.coalesce(sent.c.ended_at, 0), metric_series.c.name, metric_series.c.labels)
        .limit(limit)
    )
    return [series_of(row) for row in conn.execute(statement).mappings()]


def ack(conn: Connection, sink: str, stored: Sequence[Series], *, ended_at: datetime) -> None:
    """Note that a sink has these series, as of `ended_at`. A note that comes late never moves the cursor back."""
    told = {"sink": sink, "ended_at": ended_at}
    rows = [{**told, "name": s.name, "labels": labels_key(s.labels), "revision": s.revision} for s in stored]
    upsert(conn, metric_sent, rows, forward="ended_at")
    taken = {(each.name, labels_key(each.labels)) for each in stored}
    known = conn.execute(select(metric_refusals.c.name, metric_refusals.c.labels).where(metric_refusals.c.sink == sink)).all()
    for name, labels in ((name, labels) for name, labels in known if (name, labels) in taken):
        of = (metric_refusals.c.sink == sink) & (metric_refusals.c.name == name) & (metric_refusals.c.labels == labels)
        conn.execute(delete(metric_refusals).where(of))


def refuse(conn: Connection, sink: str, refused: Sequence[Refused], *, now: datetime) -> None:
    """Count a sink's refusals: the series keep their totals, and what keeps being refused goes into quarantine."""
    for each, why in refused:
        key = {"sink": sink, "name": each.name, "labels": labels_key(each.labels)}
        said = {"refused_at": now, "why": why[:_MOST_SAID]}
        if not insert_once(conn, metric_refusals, {**key, **said, "times": 1}):
            of = and_(*(metric_refusals.c[name] == value for name, value in key.items()))
            conn.execute(update(metric_refusals).where(of).values(times=metric_refusals.c.times + 1, **said))
        points.emit(conn, "points_refused", 1, now=now, sink=sink)


def quarantined(conn: Connection, sink: str) -> int:
    """How many series a sink refused so often that it is asked for them once a day only."""
    many = select(func.count()).where(metric_refusals.c.sink == sink, metric_refusals.c.times >= REFUSALS)
    return int(conn.execute(many).scalar_one())
