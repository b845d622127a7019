"""The dashboard, said once: what each of its panels shows, for Cloud Monitoring and for Grafana."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from aiprod.alerting import line_of
from aiprod.catalog import Catalog

__all__ = ["Panel", "Query", "Show", "panels"]

Show = Literal["last", "lowest", "growth", "mean", "p50", "p95", "p99"]


@dataclass(frozen=True)
class Query:
    """One metric, shown one way; a line for every value of the labels `by`."""

    metric: str
    show: Show
    by: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Panel:
    """One panel. `marks` are lines drawn across, by the name of the alert: where somebody is told."""

    title: str
    unit: str
    queries: tuple[Query, ...]
    marks: tuple[tuple[str, float], ...] = ()
    draw: Literal["lines", "bars"] = "lines"


def panels(catalog: Catalog) -> tuple[Panel, ...]:
    """Return the six panels of the order, top left to bottom right."""
    duration = {"status": "delivered"}
    return (
        Panel(
            "Pipeline duration: p50, p95, p99",
            "s",
            tuple(Query("pipeline_duration", show, labels=duration) for show in ("p50", "p95", "p99")),
            _marks(catalog, "pipeline_duration"),
        ),
        Panel(
            "Quality, mean by dimension",
            "1",
            (Query("quality_score", "mean", ("dimension",)),),
            _marks(catalog, "quality_score"),
        ),
        Panel(
            "Spend today against warning and cap",
            "USD",
            (Query("spend_today", "last"), Query("budget_left", "last")),
            _marks(catalog, "spend_today"),
        ),
        Panel("Errors by stage and kind", "1", (Query("errors", "growth", ("stage", "code")),), draw="bars"),
        Panel(
            "Jobs and money per backend",
            "1",
            (Query("jobs", "growth", ("status",)), Query("cost", "growth", ("backend",))),
            draw="bars",
        ),
        Panel(
            "Backends: healthy, and their errors",
            "1",
            (Query("backend_up", "lowest", ("backend",)), Query("backend_errors", "growth", ("backend",))),
        ),
    )


def _marks(catalog: Catalog, metric: str) -> tuple[tuple[str, float], ...]:
    """The lines that alerts draw through a metric. A growth has none: over a panel's hour it is another than over the alert's."""
    return tuple(
        (name, line_of(condition, catalog))
        for name, rule in catalog.alerts.items()
        for condition in rule.any
        if condition.metric == metric and condition.show != "growth"
    )
