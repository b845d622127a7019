"""The same questions in PromQL, and the rules that Prometheus evaluates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiprod.alerting import line_of
from aiprod.catalog import Catalog
from aiprod.measures import Condition, Objective
from aiprod.metrics.scraping import PREFIX

__all__ = ["RUNBOOK", "expression", "rules"]

RUNBOOK = "docs/monitoring.md"
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def expression(metric: str, show: str, *, by: Sequence[str] = (), labels: Mapping[str, str] | None = None, window: str) -> str:
    """Return one metric shown one way. `window` is a duration as PromQL writes it; `last` and `lowest` have none."""
    name, chosen = PREFIX + metric, _chosen(labels or {})
    split = f" by ({', '.join(by)})" if by else ""
    if show in ("last", "lowest"):
        return f"{'max' if show == 'last' else 'min'}{split} ({name}{chosen})"
    if show == "growth":
        return f"sum{split} (increase({name}_total{chosen}[{window}]))"
    if show == "mean":
        total, count = (f"sum{split} (increase({name}_{part}{chosen}[{window}]))" for part in ("sum", "count"))
        return f"{total} / {count}"
    grouped = ", ".join(["le", *by])
    return f"histogram_quantile({_QUANTILES[show]:g}, sum by ({grouped}) (increase({name}_bucket{chosen}[{window}])))"


def rules(catalog: Catalog) -> dict[str, Any]:
    """Return every alert as a file of Prometheus's rules."""
    told = []
    for name, rule in catalog.alerts.items():
        tests = [_test(condition, catalog) for condition in rule.any]
        told.append(_rule(name, " or ".join(tests), rule.hold, rule.severity, rule.title, rule.what_to_do))
    for name, objective in catalog.objectives.items():
        for burn in objective.burns:
            both = (f"{_rate(objective, seconds)} > {burn.rate:g}" for seconds in (burn.long, burn.short))
            told.append(_rule(f"{name}_{burn.name}", " and ".join(both), 0, burn.severity, objective.title, objective.what_to_do))
    return {"groups": [{"name": "aiprod", "interval": "1m", "rules": told}]}


def _rule(name: str, expr: str, hold: int, severity: str, title: str, what_to_do: str) -> dict[str, Any]:
    about = {"summary": title, "description": what_to_do, "runbook": f"{RUNBOOK}#{name}"}
    return {
        "alert": name,
        "expr": expr,
        "for": f"{hold}s",
        "labels": {"severity": severity, "app": "aiprod"},
        "annotations": about,
    }


def _test(condition: Condition, catalog: Catalog) -> str:
    shown = expression(
        condition.metric, condition.show, by=condition.by, labels=condition.labels, window=f"{condition.window or 60}s"
    )
    sign = ">" if condition.above is not None else "<" if condition.below is not None else ">="
    return f"{shown} {sign} {line_of(condition, catalog):g}"


def _rate(objective: Objective, seconds: int) -> str:
    """How many times faster than allowed bad values come. A value on the very bound counts as lying below it here."""
    name = PREFIX + objective.metric
    inside = {**objective.labels, "le": str(float(objective.bound))}
    below = f"sum (increase({name}_bucket{_chosen(inside)}[{seconds}s]))"
    every = f"sum (increase({name}_count{_chosen(objective.labels)}[{seconds}s]))"
    bad = f"(1 - {below} / {every})" if objective.good_below is not None else f"({below} / {every})"
    return f"{bad} / {1 - objective.goal:.4g}"


def _chosen(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'{key}="{value}"' for key, value in labels.items()) + "}" if labels else ""
