"""Alert policies, objectives and the dashboard in Cloud Monitoring's own JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiprod.alerting import line_of
from aiprod.catalog import Catalog
from aiprod.measures import Burn, Condition, Objective
from aiprod.metrics.google_words import PREFIX
from aiprod.models import fingerprint
from aiprod.monitoring.panels import Panel, Query, panels
from aiprod.monitoring.promql import RUNBOOK

__all__ = ["PROJECT", "SERVICE", "burn_policies", "dashboard", "objectives", "policies", "selector"]

#: Stands for the project's id in the files: whoever deploys them fills it in.
PROJECT = "PROJECT_ID"
SERVICE = "aiprod"
_SEVEN_DAYS = "604800s"
#: The service compares with "more than" only: what reaches a line lies above the line less half a cent.
_HALF_A_CENT = 0.005
_WAYS = {
    "last": ("ALIGN_MAX", "REDUCE_MAX"),
    "lowest": ("ALIGN_MIN", "REDUCE_MIN"),
    "growth": ("ALIGN_DELTA", "REDUCE_SUM"),
    "mean": ("ALIGN_DELTA", "REDUCE_MEAN"),
    "p50": ("ALIGN_DELTA", "REDUCE_PERCENTILE_50"),
    "p95": ("ALIGN_DELTA", "REDUCE_PERCENTILE_95"),
    "p99": ("ALIGN_DELTA", "REDUCE_PERCENTILE_99"),
}


def selector(metric: str, labels: Mapping[str, str] | None = None) -> str:
    """Return which series are meant, as the service's filters say it."""
    chosen = [f'metric.labels.{key}="{value}"' for key, value in (labels or {}).items()]
    return " AND ".join([f'metric.type="{PREFIX}{metric}"', 'resource.type="generic_task"', *chosen])


def policies(catalog: Catalog) -> dict[str, dict[str, Any]]:
    """Return a policy for every alert, by name."""
    return {
        name: _policy(
            name, rule.title, rule.severity, rule.what_to_do, [_condition(c, catalog, rule.hold) for c in rule.any], "OR"
        )
        for name, rule in catalog.alerts.items()
    }


def burn_policies(catalog: Catalog, project: str = PROJECT) -> dict[str, dict[str, Any]]:
    """Return a policy for every burn of every objective, by name. They need the objectives to be there."""
    made = {}
    for name, objective in catalog.objectives.items():
        for burn in objective.burns:
            key, title = f"{name}_{burn.name}", f"{objective.title}: {burn.name} burn"
            conditions = [_burn(name, burn, window, project) for window in (burn.long, burn.short)]
            made[key] = _policy(key, title, burn.severity, objective.what_to_do, conditions, "AND")
    return made


def objectives(catalog: Catalog) -> dict[str, dict[str, Any]]:
    """Return every objective over rolling seven days, by name."""
    return {name: _objective(objective) for name, objective in catalog.objectives.items()}


def dashboard(catalog: Catalog) -> dict[str, Any]:
    """Return the dashboard. Its label tells two versions apart, however the service writes them down."""
    tiles = [
        {"xPos": n % 2 * 24, "yPos": n // 2 * 16, "width": 24, "height": 16, "widget": _widget(panel)}
        for n, panel in enumerate(panels(catalog))
    ]
    said = {"displayName": "AIPROD", "mosaicLayout": {"columns": 48, "tiles": tiles}}
    return {**said, "labels": {"app": "aiprod", "content": fingerprint(said)[:16]}}


def _policy(
    name: str, title: str, severity: str, what_to_do: str, conditions: Sequence[dict[str, Any]], combiner: str
) -> dict[str, Any]:
    shown = f"[aiprod] {title}"
    return {
        "displayName": shown,
        "combiner": combiner,
        "enabled": True,
        "severity": severity.upper(),
        "userLabels": {"app": "aiprod", "policy": name},
        "conditions": list(conditions),
        "documentation": {
            "content": f"{what_to_do}\n\nRunbook: {RUNBOOK}#{name}",
            "mimeType": "text/markdown",
            "subject": shown,
        },
        "alertStrategy": {"autoClose": "3600s"},
    }


def _condition(condition: Condition, catalog: Catalog, hold: int) -> dict[str, Any]:
    line = line_of(condition, catalog) - (_HALF_A_CENT if condition.reaches is not None else 0)
    sign = "<" if condition.below is not None else ">"
    threshold: dict[str, Any] = {
        "filter": selector(condition.metric, condition.labels),
        "comparison": "COMPARISON_LT" if condition.below is not None else "COMPARISON_GT",
        "thresholdValue": line,
        "duration": f"{hold}s",
        "trigger": {"count": 1},
        "aggregations": [_aggregation(condition.show, condition.by, condition.window or 60)],
    }
    if hold:
        # Silence is the end of it. Without a duration the service does not take the word.
        threshold["evaluationMissingData"] = "EVALUATION_MISSING_DATA_INACTIVE"
    return {"displayName": f"{condition.show} of {condition.metric} {sign} {line:g}", "conditionThreshold": threshold}


def _burn(name: str, burn: Burn, window: int, project: str) -> dict[str, Any]:
    objective = f"projects/{project}/services/{SERVICE}/serviceLevelObjectives/{name.replace('_', '-')}"
    return {
        "displayName": f"burn over {window // 60} min > {burn.rate:g}",
        "conditionThreshold": {
            "filter": f'select_slo_burn_rate("{objective}", "{window}s")',
            "comparison": "COMPARISON_GT",
            "thresholdValue": burn.rate,
            "duration": "0s",
            "trigger": {"count": 1},
        },
    }


def _objective(objective: Objective) -> dict[str, Any]:
    good: dict[str, Any] = {"max": objective.good_below} if objective.good_below is not None else {"min": objective.good_from}
    whole = {"min": 0, "max": "Infinity", **good}
    cut = {"distributionFilter": selector(objective.metric, objective.labels), "range": whole}
    return {
        "displayName": f"{objective.title} (7 days)",
        "goal": objective.goal,
        "rollingPeriod": _SEVEN_DAYS,
        "serviceLevelIndicator": {"requestBased": {"distributionCut": cut}},
    }


def _aggregation(show: str, by: Sequence[str], seconds: int) -> dict[str, Any]:
    aligner, reducer = _WAYS[show]
    split = {"groupByFields": [f"metric.label.{label}" for label in by]} if by else {}
    return {"alignmentPeriod": f"{seconds}s", "perSeriesAligner": aligner, "crossSeriesReducer": reducer, **split}


def _widget(panel: Panel) -> dict[str, Any]:
    plot = "STACKED_BAR" if panel.draw == "bars" else "LINE"
    sets = [{"timeSeriesQuery": _query(query), "plotType": plot, "targetAxis": "Y1"} for query in panel.queries]
    chart: dict[str, Any] = {"dataSets": sets, "yAxis": {"scale": "LINEAR"}, "chartOptions": {"mode": "COLOR"}}
    if panel.marks:
        chart["thresholds"] = [{"label": label, "value": value, "targetAxis": "Y1"} for label, value in panel.marks]
    return {"title": panel.title, "xyChart": chart}


def _query(query: Query) -> dict[str, Any]:
    window = 60 if query.show in ("last", "lowest") else 3600
    aggregation = _aggregation(query.show, query.by, window)
    return {"timeSeriesFilter": {"filter": selector(query.metric, query.labels), "aggregation": aggregation}}
