"""What the metric series said at earlier moments: what a window of time is computed from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, delete, func, select

from aiprod.ledger.insertion import insert_many
from aiprod.ledger.points import Series, labels_key, series_of
from aiprod.ledger.schema import metric_history, metric_series
from aiprod.models import Noun

__all__ = ["Growth", "growth", "keep", "prune"]

#: As long as the longest window, and a day.
KEPT = timedelta(days=8)


class Growth(Noun):
    """One series over a window: how much it grew, and what it said last. `buckets` as in `Series`."""

    labels: dict[str, str]
    count: int
    total: float
    buckets: tuple[int, ...] | None
    last: float


def keep(conn: Connection, series: Sequence[Series], *, at: datetime) -> None:
    """Note what series say at a moment."""
    rows = [
        {
            "name": each.name,
            "labels": labels_key(each.labels),
            "at": at,
            "count": each.count,
            "total": each.total,
            "buckets": None if each.buckets is None else json.dumps(each.buckets),
            "last": each.last,
        }
        for each in series
    ]
    insert_many(conn, metric_history, rows)


def growth(conn: Connection, name: str, *, since: datetime) -> list[Growth]:
    """Return how every series of a metric grew since a moment, by the last note before it.

    A series that began later grew from zero. One whose notes begin later grew since its first note: more is not known.
    """
    now_ = conn.execute(select(metric_series).where(metric_series.c.name == name)).mappings()
    before = _noted(conn, name, metric_history.c.at <= since, func.max)
    first = _noted(conn, name, metric_history.c.at > since, func.min)
    grown = []
    for series in map(series_of, now_):
        base = before.get(labels_key(series.labels))
        if base is None and series.started_at <= since:
            base = first.get(labels_key(series.labels))
        grown.append(_since(series, base))
    return grown


def prune(conn: Connection, *, before: datetime, limit: int = 5_000) -> int:
    """Delete up to `limit` notes from before a moment; return how many."""
    old = select(metric_history.c.name, metric_history.c.labels, metric_history.c.at).where(metric_history.c.at < before)
    keys = conn.execute(old.order_by(metric_history.c.at).limit(limit)).all()
    if keys:
        conn.execute(delete(metric_history).where(metric_history.c.at <= keys[-1].at))
    return len(keys)


def _noted(conn: Connection, name: str, when: Any, which: Any) -> dict[str, Any]:
    """The last, or the first, note of each series in a stretch of time, by its labels."""
    chosen = (
        select(metric_history.c.labels, which(metric_history.c.at).label("at"))
        .where(metric_history.c.name == name, when)
        .group_by(metric_history.c.labels)
        .subquery()
    )
    same = and_(metric_history.c.name == name, metric_history.c.labels == chosen.c.labels, metric_history.c.at == chosen.c.at)
    return {row["labels"]: row for row in conn.execute(select(metric_history).join(chosen, same)).mappings()}


def _since(series: Series, base: Any) -> Growth:
    buckets = series.buckets
    if base is not None and buckets is not None:
        buckets = tuple(now - then for now, then in zip(buckets, json.loads(base["buckets"]), strict=True))
    return Growth(
        labels=series.labels,
        count=series.count - (base["count"] if base else 0),
        total=series.total - (base["total"] if base else 0.0),
        buckets=buckets,
        last=series.last,
    )
