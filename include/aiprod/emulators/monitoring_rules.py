"""What Cloud Monitoring asks of a point and of a descriptor, as its documentation has it (facts/monitoring.md A.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from google.api import metric_pb2  # type: ignore[import-untyped]
from google.cloud import monitoring_v3 as m

__all__ = ["Key", "Stored", "check", "key_of", "problem_of_descriptor"]

_Kind, _Type = metric_pb2.MetricDescriptor.MetricKind, metric_pb2.MetricDescriptor.ValueType
_RESOURCES = {
    "generic_task": {"project_id", "location", "namespace", "job", "task_id"},
    "generic_node": {"project_id", "location", "namespace", "node_id"},
    "global": {"project_id"},
}
_NAME = re.compile(r"(custom|workload)\.googleapis\.com/[A-Za-z0-9_/.]+")
_LABEL = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,99}")
_VALUES = {
    "int64_value": _Type.INT64,
    "double_value": _Type.DOUBLE,
    "bool_value": _Type.BOOL,
    "distribution_value": _Type.DISTRIBUTION,
    "string_value": _Type.STRING,
}
_PAST, _FUTURE, _APART = 25 * 3600.0, 300.0, 5.0
_MOST_LABELS, _LONGEST_VALUE, _MOST_BUCKETS = 30, 1024, 200


class Key(NamedTuple):
    """What makes two points points of one series."""

    type: str
    labels: tuple[tuple[str, str], ...]
    resource: tuple[tuple[str, str], ...]


class Stored(NamedTuple):
    """One point of a series, its times in seconds."""

    start: float | None
    end: float
    value: Any


def key_of(series: Any) -> Key:
    """Return which series a message is of."""
    resource = (("", series.resource.type), *sorted(series.resource.labels.items()))
    return Key(series.metric.type, tuple(sorted(series.metric.labels.items())), resource)


def check(series: Any, descriptors: dict[str, Any], before: Sequence[Stored], *, now: float, repeated: bool) -> str:
    """Return why a series cannot be stored, empty when it can. A metric nobody described is described by its first point."""
    if repeated:
        return "Duplicate TimeSeries encountered. Only one point can be written per TimeSeries per request."
    if len(series.points) != 1:
        return "Field points must contain exactly one point"
    if why := _wrong_name(series):
        return why
    value = m.TypedValue.pb(series.points[0].value)
    kind, of = series.metric_kind or _Kind.GAUGE, _VALUES.get(value.WhichOneof("value") or "", _Type.STRING)
    if of == _Type.STRING:
        return "STRING is not supported for user metrics"
    known = descriptors.get(series.metric.type)
    if known is None:
        labels = [{"key": key} for key in series.metric.labels]
        known = metric_pb2.MetricDescriptor(type=series.metric.type, metric_kind=kind, value_type=of, labels=labels)
        descriptors[series.metric.type] = known
    if kind != known.metric_kind:
        return "Metric kind must match the descriptor's"
    if of != known.value_type:
        return f"Value type must be {_Type.Name(known.value_type)}, but is {_Type.Name(of)}"
    if strangers := set(series.metric.labels) - {label.key for label in known.labels}:
        return f"Unrecognized metric label {sorted(strangers)[0]!r}"
    checks: tuple[Callable[[], str], ...] = (
        lambda: _wrong_time(series, kind, now),
        lambda: _wrong_distribution(value.distribution_value) if of == _Type.DISTRIBUTION else "",
        lambda: _out_of_order(series, kind, before[-1]) if before else "",
    )
    return next((why for each in checks if (why := each())), "")


def _wrong_name(series: Any) -> str:
    if not _NAME.fullmatch(series.metric.type):
        return f"invalid metric type {series.metric.type}"
    if len(series.metric.labels) > _MOST_LABELS:
        return "too many metric labels"
    for key, value in series.metric.labels.items():
        if not _LABEL.fullmatch(key):
            return f"invalid label key {key!r}"
        if len(value) > _LONGEST_VALUE:
            return f"the value of label {key} is longer than {_LONGEST_VALUE}"
    if series.resource.type not in _RESOURCES:
        return f"points cannot be written to resource {series.resource.type!r}"
    # The service fills in the project by itself.
    if set(series.resource.labels) | {"project_id"} != _RESOURCES[series.resource.type]:
        return f"resource {series.resource.type} has other labels than {sorted(series.resource.labels)}"
    return ""


def _wrong_time(series: Any, kind: int, now: float) -> str:
    interval = series.points[0].interval
    end = interval.end_time.timestamp()
    start = interval.start_time.timestamp() if interval.start_time else end
    if end < now - _PAST:
        return "Data points cannot be written more than 25h in the past"
    if end > now + _FUTURE:
        return "Data points cannot be written more than 5 min in the future"
    if kind == _Kind.GAUGE and start != end:
        return "The start time of a GAUGE must be its end time"
    if kind == _Kind.CUMULATIVE and not start < end:
        return "The start time must be before the end time for a CUMULATIVE metric"
    if kind not in (_Kind.GAUGE, _Kind.CUMULATIVE):
        return "Only GAUGE and CUMULATIVE can be written"
    return ""


def _wrong_distribution(value: Any) -> str:
    bounds = list(value.bucket_options.explicit_buckets.bounds)
    if len(bounds) + 1 > _MOST_BUCKETS:
        return f"more than {_MOST_BUCKETS} buckets"
    if any(after <= before for before, after in pairwise(bounds)):
        return "Bucket bounds must increase"
    if len(value.bucket_counts) > len(bounds) + 1:
        return "more counts than buckets"
    if sum(value.bucket_counts) != value.count:
        return f"the counts of the buckets sum up to {sum(value.bucket_counts)}, the count is {value.count}"
    if value.count == 0 and (value.mean or value.sum_of_squared_deviation):
        return "an empty distribution has no mean"
    return ""


def _out_of_order(series: Any, kind: int, last: Stored) -> str:
    order = "Points must be written in order. One or more of the points specified had an older"
    interval = series.points[0].interval
    end = interval.end_time.timestamp()
    if end <= last.end:
        return f"{order} end time than the most recent point."
    if kind == _Kind.CUMULATIVE and last.start is not None:
        start = interval.start_time.timestamp()
        if start < last.start:
            return f"{order} start time than the most recent point."
        if start != last.start and start < last.end + 0.001:
            return "The new start time must be at least a millisecond after the end time of the last point"
    if end - last.end < _APART:
        return "One or more points were written more frequently than the maximum sampling period configured for the metric."
    return ""


def problem_of_descriptor(wanted: Any, known: Mapping[str, Any]) -> str:
    """Return why a descriptor cannot be made, or made anew."""
    if not _NAME.fullmatch(wanted.type):
        return f"invalid metric type {wanted.type}"
    if len(wanted.labels) > _MOST_LABELS:
        return "too many labels"
    before = known.get(wanted.type)
    if before is not None and (before.metric_kind, before.value_type) != (wanted.metric_kind, wanted.value_type):
        return "kind and value type of a metric never change; delete the descriptor first"
    return ""
