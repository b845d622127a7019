"""The rules that Prometheus gets ask for series that its page has."""

from __future__ import annotations

import pytest

from aiprod.catalog import Catalog
from aiprod.monitoring.promql import expression, rules


@pytest.mark.parametrize(
    ("show", "by", "said"),
    [
        ("last", (), 'max (aiprod_x{a="b"})'),
        ("lowest", ("k",), 'min by (k) (aiprod_x{a="b"})'),
        ("growth", ("k",), 'sum by (k) (increase(aiprod_x_total{a="b"}[5m]))'),
        ("mean", (), 'sum (increase(aiprod_x_sum{a="b"}[5m])) / sum (increase(aiprod_x_count{a="b"}[5m]))'),
        ("p95", (), 'histogram_quantile(0.95, sum by (le) (increase(aiprod_x_bucket{a="b"}[5m])))'),
    ],
)
def test_each_way_to_show_a_metric_asks_for_its_series(show: str, by: tuple[str, ...], said: str) -> None:
    assert expression("x", show, by=by, labels={"a": "b"}, window="5m") == said


def test_an_alert_compares_as_its_rule_says(config: Catalog) -> None:
    told = {rule["alert"]: rule for rule in rules(config)["groups"][0]["rules"]}
    assert told["budget_warning"]["expr"] == "max (aiprod_spend_today) >= 90"
    assert " or " in told["budget_critical"]["expr"]
    assert told["quality_low"]["expr"].endswith("< 0.6") and told["quality_low"]["for"] == "300s"
    assert told["latency_7d_fast"]["expr"].count("> 13.44") == 2
    assert 'le="900.0"' in told["latency_7d_fast"]["expr"]
    assert all(rule["annotations"]["runbook"].startswith("docs/monitoring.md#") for rule in told.values())
