"""Every documented rule of a point is enforced: who passes here is well formed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.api import metric_pb2
from google.cloud import monitoring_v3 as m

from aiprod.emulators.monitoring_rules import Stored, check, problem_of_descriptor

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
START = NOW - timedelta(hours=1)
CUMULATIVE, GAUGE, DELTA = 3, 1, 2


def series(
    value: Any = None, *, kind: int = CUMULATIVE, start: datetime | None = START, end: datetime = NOW, **changes: Any
) -> m.TimeSeries:
    interval = {"end_time": end} | ({"start_time": start} if start else {})
    said: dict[str, Any] = {
        "metric": {"type": "custom.googleapis.com/aiprod/x", "labels": {"k": "v"}},
        "resource": {
            "type": "generic_task",
            "labels": {"project_id": "p", "location": "global", "namespace": "n", "job": "j", "task_id": "t"},
        },
        "metric_kind": kind,
        "points": [{"interval": interval, "value": value or {"int64_value": 1}}],
    }
    return m.TimeSeries(**{**said, **changes})


def spread(counts: list[int], bounds: list[float], **said: Any) -> dict[str, Any]:
    buckets = {"explicit_buckets": {"bounds": bounds}}
    return {"distribution_value": {"count": sum(counts), "bucket_counts": counts, "bucket_options": buckets, **said}}


def told(wanted: m.TimeSeries, *, before: list[Stored] | None = None, repeated: bool = False, known: Any = None) -> str:
    return check(wanted, known or {}, before or [], now=NOW.timestamp(), repeated=repeated)


def last(seconds_ago: float, *, start: datetime | None = START) -> list[Stored]:
    return [Stored(start.timestamp() if start else None, NOW.timestamp() - seconds_ago, None)]


def test_a_point_as_it_should_be_is_taken() -> None:
    assert told(series()) == told(series(kind=GAUGE, start=None)) == told(series(spread([1, 2], [5]))) == ""
    assert told(series(), before=last(5)) == ""
    assert told(series(start=NOW - timedelta(seconds=1)), before=last(60)) == "", "a new start after the last end is a reset"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (series(points=[]), "exactly one point"),
        (series(metric={"type": "aiprod/x"}), "invalid metric type"),
        (series(metric={"type": "custom.googleapis.com/x", "labels": {"9": "v"}}), "invalid label key"),
        (series(metric={"type": "custom.googleapis.com/x", "labels": {"k": "v" * 1025}}), "longer than 1024"),
        (series(metric={"type": "custom.googleapis.com/x", "labels": {f"k{n}": "v" for n in range(31)}}), "too many"),
        (series(resource={"type": "gce_disk"}), "cannot be written to resource"),
        (series(resource={"type": "generic_task", "labels": {"job": "j"}}), "other labels"),
        (series({"string_value": "x"}), "STRING is not supported"),
        (series(end=NOW + timedelta(minutes=6)), "in the future"),
        (series(start=START - timedelta(days=2), end=NOW - timedelta(hours=26)), "in the past"),
        (series(start=NOW), "before the end time"),
        (series(kind=GAUGE), "GAUGE must be its end time"),
        (series(kind=DELTA), "Only GAUGE and CUMULATIVE"),
        (series(spread([1, 1], [5], count=3)), "sum up to 2, the count is 3"),
        (series(spread([1, 1, 1], [5])), "more counts than buckets"),
        (series(spread([1, 1, 1], [5, 5])), "must increase"),
        (series(spread([0, 0], [5], mean=1.0)), "has no mean"),
        (series(spread([0] * 201, [float(n) for n in range(200)])), "more than 200 buckets"),
    ],
)
def test_a_point_that_is_wrong_is_refused_with_the_reason(wanted: m.TimeSeries, said: str) -> None:
    assert said in told(wanted)


def test_two_points_of_one_series_need_time_between_them_and_their_order() -> None:
    assert "more frequently" in told(series(), before=last(4))
    assert "older end time" in told(series(), before=last(-1))
    assert "older start time" in told(series(start=START - timedelta(hours=1)), before=last(60))
    assert "millisecond after" in told(series(start=START + timedelta(minutes=1)), before=last(60))
    assert "Duplicate" in told(series(), repeated=True)


def test_what_a_metric_is_it_stays() -> None:
    known: dict[str, Any] = {}
    assert check(series(), known, [], now=NOW.timestamp(), repeated=False) == ""
    assert "kind must match" in told(series(kind=GAUGE, start=None), known=known)
    assert "must be INT64, but is DOUBLE" in told(series({"double_value": 1.0}), known=known)
    other = series(metric={"type": "custom.googleapis.com/aiprod/x", "labels": {"stranger": "v"}})
    assert "Unrecognized metric label 'stranger'" in told(other, known=known)
    made = metric_pb2.MetricDescriptor(type="custom.googleapis.com/aiprod/x", metric_kind=GAUGE, value_type=2)
    assert "never change" in problem_of_descriptor(made, known)
    assert problem_of_descriptor(made, {}) == ""
    assert "invalid" in problem_of_descriptor(metric_pb2.MetricDescriptor(type="x"), {})
