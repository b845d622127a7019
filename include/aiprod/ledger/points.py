"""Metric points: written with the row they describe, folded into cumulative series that may be sent any number of times."""

from __future__ import annotations

import bisect
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from aiprod.catalog import Metric, catalog
from aiprod.errors import ConfigError
from aiprod.ledger.insertion import insert_once, upsert
from aiprod.ledger.schema import metric_outbox, metric_series
from aiprod.models import Noun

__all__ = ["Series", "checked", "emit", "fold", "labels_key", "last", "seed", "series", "series_of"]

#: Longer than any name of ours; what a service would refuse is refused here, where it can be seen.
_LONGEST_LABEL = 100


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
        """Return the series with one more value."""
        tally = _Tally.of(self)
        tally.add(value, at, bounds)
        return self.model_copy(update=tally.values())


@dataclass(slots=True)
class _Tally:
    """The figures of a series while points are added to it (Welford's running mean and squared deviation)."""

    count: int
    total: float
    mean: float
    m2: float
    buckets: list[int] | None
    last: float
    last_at: datetime
    revision: int

    @classmethod
    def of(cls, series: Series) -> _Tally:
        buckets = None if series.buckets is None else list(series.buckets)
        return cls(
            series.count, series.total, series.mean, series.m2, buckets, series.last, series.last_at, series.revision
        )  # fmt: skip

    def add(self, value: float, at: datetime, bounds: Sequence[float] | None) -> None:
        self.count += 1
        self.total += value
        delta = value - self.mean
        self.mean += delta / self.count
        self.m2 += delta * (value - self.mean)
        if bounds is not None and self.buckets is not None:
            self.buckets[bisect.bisect_right(bounds, value)] += 1
        if at >= self.last_at:
            self.last, self.last_at = value, at
        self.revision += 1

    def values(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "total": self.total,
            "mean": self.mean,
            "m2": self.m2,
            "buckets": None if self.buckets is None else tuple(self.buckets),
            "last": self.last,
            "last_at": self.last_at,
            "revision": self.revision,
        }


def labels_key(labels: Mapping[str, str]) -> str:
    """Return a label set as the ledger's tables have it: the same for the same set."""
    return json.dumps(dict(labels), sort_keys=True)


def checked(name: str, value: float, labels: Mapping[str, str]) -> Metric:
    """Return the metric a point is of. Raises `ConfigError` for what nobody registered, and for what no sink could store."""
    metric = catalog().metrics.get(name)
    if metric is None or set(labels) != set(metric.labels):
        raise ConfigError(f"metric {name} with labels {sorted(labels)} is not in include/config/metrics.yaml")
    if not math.isfinite(value) or (value < 0 and metric.kind in ("counter", "amount")):
        raise ConfigError(f"metric {name}: {value} is no value of a {metric.kind}")
    wrong = [key for key, said in labels.items() if not said or len(said) > _LONGEST_LABEL]
    if wrong:
        raise ConfigError(f"metric {name}: label {wrong[0]} is empty or longer than {_LONGEST_LABEL} characters")
    return metric


def emit(conn: Connection, name: str, value: float, *, now: datetime, **labels: str) -> None:
    """Write one point in the caller's transaction. Raises `ConfigError` as `checked` does."""
    checked(name, value, labels)
    row = {"at": now, "name": name, "labels": labels_key(labels), "value": value}
    conn.execute(insert(metric_outbox).values(**row))


def seed(conn: Connection, name: str, *, now: datetime, **labels: str) -> bool:
    """Begin a series at zero; return whether it is new.

    Of a series whose first value is its first count nobody can say that it grew.
    """
    metric = checked(name, 0.0, labels)
    empty = _fresh(name, labels_key(labels), 0.0, now, metric.bounds)
    return insert_once(conn, metric_series, _row(empty))


def fold(conn: Connection, *, limit: int = 5_000) -> int:
    """Move up to `limit` points into their series; return how many. Points and series change together or not at all."""
    rows = conn.execute(select(metric_outbox).order_by(metric_outbox.c.id).limit(limit).with_for_update()).all()
    stored = _stored(conn, {row.name for row in rows})
    folded = {(known.name, labels_key(known.labels)): (known, _Tally.of(known)) for known in stored}
    touched: dict[tuple[str, str], None] = {}
    registry = catalog().metrics
    for _, at, name, labels, value in rows:
        bounds = registry[name].bounds if name in registry else None
        if (name, labels) not in folded:
            new = _fresh(name, labels, value, at, bounds)
            folded[name, labels] = new, _Tally.of(new)
        folded[name, labels][1].add(value, at, bounds)
        touched[name, labels] = None
    changed = (folded[key] for key in touched)
    upsert(conn, metric_series, [_row(known.model_copy(update=tally.values())) for known, tally in changed])
    # By name and not by range: on Postgres a lower number may be committed after this look.
    conn.execute(delete(metric_outbox).where(metric_outbox.c.id.in_([row.id for row in rows])))
    return len(rows)


def series(conn: Connection) -> list[Series]:
    """Return every folded series, by name and labels."""
    found = conn.execute(select(metric_series).order_by(metric_series.c.name, metric_series.c.labels))
    return [series_of(row) for row in found.mappings()]


def last(conn: Connection, name: str) -> float:
    """Return what a gauge without labels shows; 0 before its first point."""
    return float(conn.execute(select(metric_series.c.last).where(metric_series.c.name == name)).scalar() or 0.0)


def series_of(row: Any) -> Series:
    """Return the series of a row of its table."""
    buckets = None if row["buckets"] is None else tuple(json.loads(row["buckets"]))
    own = {name: row[name] for name in Series.model_fields}
    return Series(**{**own, "labels": json.loads(row["labels"]), "buckets": buckets})


def _stored(conn: Connection, names: set[str]) -> list[Series]:
    """The series of some metrics, locked."""
    statement = select(metric_series).where(metric_series.c.name.in_(sorted(names))).with_for_update()
    return [series_of(row) for row in conn.execute(statement).mappings()] if names else []


def _row(state: Series) -> dict[str, Any]:
    values: dict[str, Any] = state.model_dump(exclude={"labels", "buckets"})
    buckets = None if state.buckets is None else json.dumps(state.buckets)
    return {**values, "labels": labels_key(state.labels), "buckets": buckets}


def _fresh(name: str, labels: str, value: float, at: datetime, bounds: Sequence[float] | None) -> Series:
    """An empty series that starts just before its first point: a cumulative interval may not be empty."""
    return Series(
        name=name,
        labels=json.loads(labels),
        started_at=at - timedelta(milliseconds=1),
        count=0,
        total=0.0,
        mean=0.0,
        m2=0.0,
        buckets=None if bounds is None else (0,) * (len(bounds) + 1),
        last=value,
        last_at=at,
        revision=0,
    )
