"""The library's face for figures of one's own: report a metric or an error, and it is in the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from aiprod.catalog import Metric, catalog
from aiprod.errors import BackendError, ConfigError
from aiprod.ledger import Connection, Ledger, points
from aiprod.ledger.engine import now as database_now
from aiprod.models import Noun

__all__ = ["CustomMetricsCollector", "MetricPoint", "MetricType"]


class MetricType(StrEnum):
    """What the values of a metric are."""

    GAUGE = "gauge"
    COUNTER = "counter"
    DISTRIBUTION = "distribution"

    @classmethod
    def of(cls, metric: Metric) -> MetricType:
        """The type of a registered metric: an amount is a counter that counts money."""
        return cls.COUNTER if metric.kind == "amount" else cls(metric.kind)


class MetricPoint(Noun):
    """One value that was reported. It is in the ledger's outbox until it is folded into its series."""

    name: str
    type: MetricType
    value: float
    labels: dict[str, str]
    at: datetime


class CustomMetricsCollector:
    """Reports to the one registry, `include/config/metrics.yaml`, in transactions of its own or in the caller's.

    Nothing is sent from here, so nothing waits for a network: points are buffered in the ledger and flushed by
    `aiprod.metrics.flush`, which runs every minute and after each job.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def report_metric(
        self,
        name: str,
        value: float,
        *,
        labels: Mapping[str, str] | None = None,
        type: MetricType | None = None,
        conn: Connection | None = None,
    ) -> MetricPoint:
        """Write one point. Raises `ConfigError` for a metric, a label set, a type or a value that the registry does not allow.

        With `conn` the point is written in the caller's transaction: it is there if, and only if, the rest is.
        """
        given = dict(labels or {})
        known = MetricType.of(points.checked(name, value, given))
        if type is not None and type is not known:
            raise ConfigError(f"metric {name} is a {known}, not a {type}")
        if conn is None:
            with self._ledger.write() as own:
                return self._written(own, name, value, known, given)
        return self._written(conn, name, value, known, given)

    def report_error(self, stage: str, error: BaseException | str, *, conn: Connection | None = None) -> MetricPoint:
        """Count one failure of a stage; its code is the vendor's kind of failure, else the error's class, or the word given."""
        return self.report_metric("errors", 1, labels={"stage": stage, "code": _code(error)}, conn=conn)

    def _written(self, conn: Connection, name: str, value: float, known: MetricType, labels: dict[str, str]) -> MetricPoint:
        now = database_now(conn)
        points.emit(conn, name, value, now=now, **labels)
        return MetricPoint(name=name, type=known, value=value, labels=labels, at=now)

    @staticmethod
    def registry() -> Mapping[str, Metric]:
        """Every metric there is."""
        return catalog().metrics


def _code(error: BaseException | str) -> str:
    if isinstance(error, str):
        return error
    return error.kind.value if isinstance(error, BackendError) else type(error).__name__
