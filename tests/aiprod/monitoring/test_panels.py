"""The six panels of the order show declared metrics in ways that these have."""

from __future__ import annotations

from aiprod.catalog import Catalog
from aiprod.monitoring.panels import panels

WAYS = {
    "gauge": {"last", "lowest"},
    "counter": {"growth"},
    "amount": {"growth"},
    "distribution": {"mean", "p50", "p95", "p99"},
}


def test_there_are_six_and_each_shows_what_is_there(config: Catalog) -> None:
    six = panels(config)
    assert len(six) == 6
    for query in (query for panel in six for query in panel.queries):
        metric = config.metrics[query.metric]
        assert query.show in WAYS[metric.kind]
        assert {*query.by, *query.labels} <= set(metric.labels)


def test_the_orders_widgets_are_among_them(config: Catalog) -> None:
    shown = {(query.metric, query.show) for panel in panels(config) for query in panel.queries}
    assert {("pipeline_duration", p) for p in ("p50", "p95", "p99")} < shown
    assert {("quality_score", "mean"), ("spend_today", "last"), ("errors", "growth"), ("jobs", "growth")} < shown
    assert ("backend_up", "lowest") in shown


def test_a_line_is_drawn_exactly_where_an_alert_is_raised(config: Catalog) -> None:
    assert {mark for panel in panels(config) for mark in panel.marks} == {
        ("latency_high", 900.0),
        ("quality_low", 0.6),
        ("budget_warning", 90.0),
        ("budget_critical", 100.0),
    }
    rule = config.alerts["latency_high"]
    slower = rule.model_copy(update={"any": (rule.any[0].model_copy(update={"above": 1200.0}),)})
    moved = config.model_copy(update={"alerts": {**config.alerts, "latency_high": slower}})
    assert ("latency_high", 1200.0) in {mark for panel in panels(moved) for mark in panel.marks}
