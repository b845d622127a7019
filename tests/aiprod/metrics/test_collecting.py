"""Whoever reports a figure of their own gets it counted, or an error at the call; never an error at the vendor."""

from __future__ import annotations

import math

import pytest

from aiprod.errors import BackendError, ConfigError, FailureKind
from aiprod.ledger import Ledger, points
from aiprod.metrics import CustomMetricsCollector, MetricType


@pytest.fixture
def collector(sqlite_url: str) -> CustomMetricsCollector:
    return CustomMetricsCollector(Ledger(sqlite_url))


def folded(ledger: Ledger) -> dict[tuple[str, ...], float]:
    with ledger.write() as conn:
        points.fold(conn)
        return {(s.name, *s.labels.values()): s.total for s in points.series(conn)}


def test_a_metric_and_an_error_are_counted(ledger: Ledger) -> None:
    collector = CustomMetricsCollector(ledger)
    point = collector.report_metric("quality_score", 0.8, labels={"dimension": "semantic"}, type=MetricType.DISTRIBUTION)
    assert (point.name, point.type, point.value) == ("quality_score", MetricType.DISTRIBUTION, 0.8)
    failed = BackendError("no", kind=FailureKind.AUTH, money_moved="no")
    assert collector.report_error("upload", failed).labels == {"stage": "upload", "code": "auth"}
    assert collector.report_error("upload", ZeroDivisionError()).labels["code"] == "ZeroDivisionError"
    collector.report_error("upload", "disk_full")
    assert folded(ledger) == {
        ("quality_score", "semantic"): 0.8,
        ("errors", "auth", "upload"): 1,
        ("errors", "ZeroDivisionError", "upload"): 1,
        ("errors", "disk_full", "upload"): 1,
    }


@pytest.mark.parametrize(
    ("name", "value", "labels", "said"),
    [
        ("jbos", 1, {"status": "x"}, "metric jbos"),
        ("jobs", 1, {}, "metric jobs"),
        ("jobs", 1, {"status": "x", "job_id": "j"}, "metric jobs"),
        ("jobs", -1, {"status": "x"}, "no value of a counter"),
        ("spend_today", math.nan, {}, "no value of a gauge"),
        ("cost", math.inf, {"backend": "runway"}, "no value of a amount"),
        ("jobs", 1, {"status": ""}, "label status is empty"),
        ("jobs", 1, {"status": "x" * 101}, "longer than 100"),
    ],
)
def test_what_is_not_registered_is_refused_at_the_call(
    collector: CustomMetricsCollector, name: str, value: float, labels: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        collector.report_metric(name, value, labels=labels)


def test_a_type_that_the_metric_is_not_is_refused(collector: CustomMetricsCollector) -> None:
    with pytest.raises(ConfigError, match="metric cost is a counter, not a gauge"):
        collector.report_metric("cost", 1, labels={"backend": "runway"}, type=MetricType.GAUGE)


def test_in_the_callers_transaction_it_is_there_if_the_rest_is(ledger: Ledger) -> None:
    collector = CustomMetricsCollector(ledger)
    with pytest.raises(ZeroDivisionError), ledger.write() as conn:  # noqa: PT012 - the transaction around the error is what is tested
        collector.report_metric("jobs", 1, labels={"status": "failed"}, conn=conn)
        raise ZeroDivisionError
    assert folded(ledger) == {}


def test_every_registered_metric_has_a_type() -> None:
    kinds = {MetricType.of(metric) for metric in CustomMetricsCollector.registry().values()}
    assert kinds == set(MetricType)
