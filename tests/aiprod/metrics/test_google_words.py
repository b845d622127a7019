"""Our series in Cloud Monitoring's words, and its refusals in ours."""

from __future__ import annotations

from datetime import timedelta

import pytest
from google.api_core.exceptions import InvalidArgument

from aiprod.catalog import Catalog
from aiprod.ledger.points import Series
from aiprod.metrics.google_words import PREFIX, descriptor, passing, refusals, time_series
from tests.desk import NOW


def series(name: str, **said: object) -> Series:
    base = {"labels": {}, "count": 2, "total": 3.0, "mean": 1.5, "m2": 0.5, "buckets": None, "last": 2.0, "revision": 2}
    return Series(name=name, started_at=NOW, last_at=NOW, **{**base, **said})


def test_every_metric_has_a_descriptor_of_its_kind(config: Catalog) -> None:
    for name, metric in config.metrics.items():
        said = descriptor(name, metric)
        assert (said.type, said.unit, [label.key for label in said.labels]) == (PREFIX + name, metric.unit, [*metric.labels])
        assert (said.metric_kind == said.MetricKind.GAUGE) is (metric.kind == "gauge")


def test_a_total_has_a_beginning_and_a_gauge_has_none() -> None:
    later = NOW + timedelta(minutes=1)
    counted = time_series(series("jobs", labels={"status": "failed"}), later, {"type": "global"}).points[0]
    assert (counted.value.int64_value, counted.interval.start_time, counted.interval.end_time) == (3, NOW, later)
    shown = time_series(series("spend_today"), later, {"type": "global"}).points[0]
    assert shown.value.double_value == 2.0 and not shown.interval.start_time


def test_a_distribution_with_nothing_in_it_has_no_mean(config: Catalog) -> None:
    bounds = config.metrics["quality_score"].bounds or ()
    empty = series("quality_score", labels={"dimension": "quality"}, count=0, mean=0.7, m2=0.1, buckets=(0,) * (len(bounds) + 1))
    value = time_series(empty, NOW + timedelta(seconds=1), {"type": "global"}).points[0].value.distribution_value
    assert (value.count, value.mean, value.sum_of_squared_deviation) == (0, 0, 0)


@pytest.mark.parametrize(
    ("message", "bad", "complete"),
    [
        ("x: timeSeries[1]: wrong type", {1: "wrong type"}, True),
        ("x: timeSeries[0-2]: wrong; timeSeries[4]: worse", {0: "wrong", 1: "wrong", 2: "wrong", 4: "worse"}, True),
        ("x: timeSeries[9]: of another request", {}, False),
        ("something is wrong", {}, False),
    ],
)
def test_a_refusal_says_which_and_whether_these_are_all(message: str, bad: dict[int, str], complete: bool) -> None:
    said = refusals(InvalidArgument(message), 5)
    assert (said.bad, said.complete) == (bad, complete)


@pytest.mark.parametrize(
    ("why", "over_soon"),
    [
        ("Points must be written in order. One or more …", True),
        ("One or more points were written more frequently than the maximum sampling period", True),
        ("Data points cannot be written more than 25h in the past", True),
        ("Value type must be DOUBLE, but is INT64", False),
    ],
)
def test_what_is_over_by_itself_is_nobodys_fault(why: str, over_soon: bool) -> None:
    assert passing(why) is over_soon
