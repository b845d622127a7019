"""Our series in Cloud Monitoring's words, and what its refusals mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from google.api import distribution_pb2, metric_pb2  # type: ignore[import-untyped]
from google.api_core.exceptions import InvalidArgument
from google.cloud import monitoring_v3

from aiprod.catalog import Metric, catalog
from aiprod.ledger.points import Series

__all__ = ["PREFIX", "Refusals", "descriptor", "passing", "refusals", "time_series"]

PREFIX = "custom.googleapis.com/aiprod/"

_Kind, _Type = metric_pb2.MetricDescriptor.MetricKind, metric_pb2.MetricDescriptor.ValueType
_SHAPES: dict[str, tuple[Any, Any]] = {
    "distribution": (_Kind.CUMULATIVE, _Type.DISTRIBUTION),
    "counter": (_Kind.CUMULATIVE, _Type.INT64),
    "amount": (_Kind.CUMULATIVE, _Type.DOUBLE),
    "gauge": (_Kind.GAUGE, _Type.DOUBLE),
}
#: Says nothing against the series, only against this moment: too soon after the last point, or a clock that is wrong.
_PASSING = re.compile(r"written in order|more frequently than|in the past|in the future|min in the future")
_NAMED = re.compile(r"timeSeries\[(\d+)(?:-(\d+))?\][^:]*: ([^;]*)")


def descriptor(name: str, metric: Metric) -> metric_pb2.MetricDescriptor:
    """Return what the service is told of a metric before its first point."""
    kind, value = _SHAPES[metric.kind]
    return metric_pb2.MetricDescriptor(
        type=PREFIX + name,
        metric_kind=kind,
        value_type=value,
        unit=metric.unit,
        description=metric.description,
        display_name=f"aiprod {name.replace('_', ' ')}",
        labels=[{"key": key} for key in metric.labels],
    )


def time_series(series: Series, ended_at: datetime, resource: dict[str, Any]) -> monitoring_v3.TimeSeries:
    """Return one series with its one point: a total since the series began, or what a gauge shows."""
    metric = catalog().metrics[series.name]
    kind, value_type = _SHAPES[metric.kind]
    interval: dict[str, Any] = {"end_time": ended_at}
    if kind == _Kind.CUMULATIVE:
        interval["start_time"] = series.started_at
    return monitoring_v3.TimeSeries(
        metric={"type": PREFIX + series.name, "labels": series.labels},
        resource=resource,
        metric_kind=kind,
        value_type=value_type,
        unit=metric.unit,
        points=[{"interval": interval, "value": _value(series, metric)}],
    )


def _value(series: Series, metric: Metric) -> dict[str, Any]:
    if metric.kind == "gauge":
        return {"double_value": series.last}
    if metric.kind == "amount":
        return {"double_value": series.total}
    if metric.kind == "counter":
        return {"int64_value": round(series.total)}
    options = distribution_pb2.Distribution.BucketOptions(explicit_buckets={"bounds": metric.bounds or ()})
    said = distribution_pb2.Distribution(
        count=series.count,
        mean=series.mean if series.count else 0.0,
        sum_of_squared_deviation=max(series.m2, 0.0) if series.count else 0.0,
        bucket_options=options,
        bucket_counts=series.buckets or (),
    )
    return {"distribution_value": said}


def passing(why: str) -> bool:
    """Whether a refusal will be over by itself."""
    return _PASSING.search(why) is not None


class Refusals(NamedTuple):
    """Why which of the series that were sent are not stored. Not `complete` where more are bad than are named."""

    bad: dict[int, str]
    complete: bool
    some_stored: bool
    message: str


def refusals(error: InvalidArgument, sent: int) -> Refusals:
    """Return what a refusal says. The valid series of a request that was refused are stored.

    Only the message says which are not, and it may name but a few of them; the summary that comes along says how many.
    """
    bad: dict[int, str] = {}
    for first, last, why in _NAMED.findall(error.message):
        bad |= {n: why.strip() for n in range(int(first), int(last or first) + 1) if n < sent}
    if not bad and sent == 1:
        bad = {0: error.message}
    told = _summaries(error.details)
    missing = sum(s.total_point_count - s.success_point_count for s in told) if told else len(bad)
    return Refusals(bad, complete=bool(bad) and missing == len(bad), some_stored=missing < sent, message=error.message)


def _summaries(details: Sequence[Any]) -> list[monitoring_v3.CreateTimeSeriesSummary]:
    """The summaries among an error's details: the client hands them over as they came."""
    packed = [d for d in details if getattr(d, "type_url", "").endswith("CreateTimeSeriesSummary")]
    summary: Any = monitoring_v3.CreateTimeSeriesSummary
    return [summary.deserialize(d.value) for d in packed]
