"""Metric points: written with the row they describe, folded into cumulative series that may be sent any number of times."""

from __future__ import annotations

import bisect
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from aiprod.catalog import catalog
from aiprod.errors import ConfigError
from aiprod.ledger.insertion import insert_once
from aiprod.ledger.schema import metric_outbox, metric_series
from aiprod.models import Noun

__all__ = ["Series", "emit", "fold", "series"]


class Series(Noun):
    """One cumulative series. `buckets` counts values below each bound, then the rest: [lower, upper)."""

    name: str
    labels: dict[str, str]
    started_at: datetime
    count: int
    total: float
    mean: float
    m2: float
    buckets: tuple[int, ...] | None
    last: float
    last_at: datetime
    revision: int

    def add(self, value: float, at: datetime, bounds: Sequence[float] | None) -> Series:
        """Return the series with one more value (Welford's running mean and squared deviation)."""
        count, delta = self.count + 1, value - self.mean
        mean = self.mean + delta / count
        buckets = self.buckets
        if bounds is not None and buckets is not None:
            hit = bisect.bisect_right(bounds, value)
            buckets = tuple(n + (i == hit) for i, n in enumerate(buckets))
        newer = at >= self.last_at
        return self.model_copy(
            update={
                "count": count,
                "total": self.total + value,
                "mean": mean,
                "m2": self.m2 + delta * (value - mean),
                "buckets": buckets,
                "last": value if newer else self.last,
                "last_at": at if newer else self.last_at,
                "revision": self.revision + 1,
            }
        )


def emit(conn: Connection, name: str, value: float, *, now: datetime, **labels: str) -> None:
    """Write one point in the caller's transaction. Raises `ConfigError` for a name or label set nobody registered."""
    metric = catalog().metrics.get(name)
    if metric is None or set(labels) != set(metric.labels):
        raise ConfigError(f"metric {name} with labels {sorted(labels)} is not in include/config/metrics.yaml")
    row = {"at": now, "name": name, "labels": json.dumps(labels, sort_keys=True), "value": value}
    conn.execute(insert(metric_outbox).values(**row))


def fold(conn: Connection, *, limit: int = 5_000) -> int:
    """Move up to `limit` points into their series; return how many. Points and series change together or not at all."""
    rows = conn.execute(select(metric_outbox).order_by(metric_outbox.c.id).limit(limit).with_for_update()).all()
    folded: dict[tuple[str, str], Series] = {}
    for row in rows:
        key = (row.name, row.labels)
        bounds = catalog().metrics[row.name].bounds if row.name in catalog().metrics else None
        current = folded.get(key) or _stored(conn, *key) or _fresh(row, bounds)
        folded[key] = current.add(row.value, row.at, bounds)
    for (name, labels), state in folded.items():
        values: dict[str, Any] = state.model_dump(exclude={"name", "labels", "buckets"})
        values["buckets"] = None if state.buckets is None else json.dumps(state.buckets)
        if not insert_once(conn, metric_series, {"name": name, "labels": labels, **values}):
            conn.execute(
                metric_series.update().where(metric_series.c.name == name, metric_series.c.labels == labels).values(**values)
            )
    conn.execute(delete(metric_outbox).where(metric_outbox.c.id.in_([row.id for row in rows])))
    return len(rows)


def series(conn: Connection) -> list[Series]:
    """Return every folded series."""
    return [_series(row) for row in conn.execute(select(metric_series)).mappings()]


def _stored(conn: Connection, name: str, labels: str) -> Series | None:
    statement = select(metric_series).where(metric_series.c.name == name, metric_series.c.labels == labels)
    row = conn.execute(statement.with_for_update()).mappings().first()
    return None if row is None else _series(row)


def _series(row: Any) -> Series:
    buckets = None if row["buckets"] is None else tuple(json.loads(row["buckets"]))
    return Series(**{**row, "labels": json.loads(row["labels"]), "buckets": buckets})


def _fresh(row: Any, bounds: Sequence[float] | None) -> Series:
    """An empty series that starts just before its first point: a cumulative interval may not be empty."""
    return Series(
        name=row.name,
        labels=json.loads(row.labels),
        started_at=row.at - timedelta(milliseconds=1),
        count=0,
        total=0.0,
        mean=0.0,
        m2=0.0,
        buckets=None if bounds is None else (0,) * (len(bounds) + 1),
        last=row.value,
        last_at=row.at,
        revision=0,
    )
