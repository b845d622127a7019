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
    marks = {mark for panel in panels(config) for mark in panel.marks}
    assert {("warning", 90.0), ("cap", 100.0)} < marks
