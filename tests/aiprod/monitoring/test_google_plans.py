"""Policies, objectives and dashboard are well formed: by Google's own types, and by the rules that those do not know."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.cloud import monitoring_v3 as m

from aiprod.catalog import Catalog
from aiprod.metrics.google_words import PREFIX
from aiprod.monitoring import google_plans
from aiprod.monitoring.panels import Query


def aggregated(config: Catalog) -> list[tuple[str, dict[str, Any]]]:
    """Every filter with its aggregation, of policies and of the dashboard."""
    found = [
        (c["conditionThreshold"]["filter"], a)
        for policy in google_plans.policies(config).values()
        for c in policy["conditions"]
        for a in c["conditionThreshold"]["aggregations"]
    ]
    for tile in google_plans.dashboard(config)["mosaicLayout"]["tiles"]:
        for line in tile["widget"]["xyChart"]["dataSets"]:
            asked = line["timeSeriesQuery"]["timeSeriesFilter"]
            found.append((asked["filter"], asked["aggregation"]))
    return found


def test_googles_types_read_them_and_would_notice_a_typo(config: Catalog) -> None:
    for policy in [*google_plans.policies(config).values(), *google_plans.burn_policies(config).values()]:
        assert m.AlertPolicy.from_json(json.dumps(policy)).conditions
    for objective in google_plans.objectives(config).values():
        assert m.ServiceLevelObjective.from_json(json.dumps(objective)).goal
    with pytest.raises(Exception, match="displayNam"):
        m.AlertPolicy.from_json(json.dumps({"displayNam": "x"}))


def test_how_a_series_is_aligned_fits_its_kind(config: Catalog) -> None:
    """A delta of a gauge, or the last value of a total, is refused, or shows nonsense."""
    for asked, aggregation in aggregated(config):
        name = asked.split(PREFIX)[1].split('"')[0]
        delta = aggregation["perSeriesAligner"] == "ALIGN_DELTA"
        assert delta is (config.metrics[name].kind != "gauge"), asked
        labels = {field.rsplit(".", 1)[1] for field in aggregation.get("groupByFields", [])}
        assert labels <= set(config.metrics[name].labels)
        assert 60 <= int(aggregation["alignmentPeriod"][:-1]) <= 90_000


def test_silence_is_the_end_of_an_alert_where_the_service_takes_the_word(config: Catalog) -> None:
    for policy in google_plans.policies(config).values():
        for condition in policy["conditions"]:
            threshold = condition["conditionThreshold"]
            assert int(threshold["duration"][:-1]) % 60 == 0
            assert ("evaluationMissingData" in threshold) is (threshold["duration"] != "0s")


def test_the_budgets_lines_are_those_of_the_configuration(config: Catalog) -> None:
    (warning,) = google_plans.policies(config)["budget_warning"]["conditions"]
    assert warning["conditionThreshold"]["thresholdValue"] == pytest.approx(89.995), "$90.00 is reached"
    critical = google_plans.policies(config)["budget_critical"]
    assert critical["combiner"] == "OR" and len(critical["conditions"]) == 2


def test_a_burn_can_be_and_needs_both_of_its_windows(config: Catalog) -> None:
    for policy in google_plans.burn_policies(config, "p").values():
        assert policy["combiner"] == "AND" and len(policy["conditions"]) == 2
        goal = next(o.goal for n, o in config.objectives.items() if policy["userLabels"]["policy"].startswith(n))
        assert all(c["conditionThreshold"]["thresholdValue"] < 1 / (1 - goal) for c in policy["conditions"])
        assert all("projects/p/services/aiprod/" in c["conditionThreshold"]["filter"] for c in policy["conditions"])


def test_another_dashboard_has_another_mark(config: Catalog) -> None:
    budgets = config.budgets.model_copy(update={"day_usd": 500})
    other = google_plans.dashboard(config.model_copy(update={"budgets": budgets}))
    assert other["labels"] != google_plans.dashboard(config)["labels"]


def test_a_filter_names_labels_as_the_service_does() -> None:
    asked = Query("jobs", "growth", labels={"status": "failed"})
    assert google_plans.selector(asked.metric, asked.labels) == (
        'metric.type="custom.googleapis.com/aiprod/jobs" AND resource.type="generic_task" AND metric.labels.status="failed"'
    )
