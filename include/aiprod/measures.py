"""What is measured and when somebody is told: the nouns of metrics.yaml and alerts.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from aiprod.models import Noun

__all__ = ["AlertFile", "AlertRule", "Burn", "Condition", "Metric", "MetricFile", "Objective", "problems"]

Severity = Literal["warning", "critical"]
_Seconds = Annotated[int, Field(gt=0, multiple_of=60)]
#: Which ways to show a metric each kind has.
_SHOWN = {
    "gauge": ("last",),
    "counter": ("growth",),
    "amount": ("growth",),
    "distribution": ("mean", "p95"),
}


class Metric(Noun):
    """One exported metric: the label set is closed, the bounds never change (a new shape is a new name)."""

    kind: Literal["distribution", "counter", "amount", "gauge"]
    unit: str
    labels: tuple[str, ...]
    bounds: tuple[float, ...] | None = None
    description: str

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if (self.kind == "distribution") != (self.bounds is not None):
            raise ValueError("a distribution has bounds, and nothing else has")
        return self


class MetricFile(Noun):
    metrics: dict[str, Metric]


class Condition(Noun):
    """One comparison. `reaches` is a number or the name of an amount in budgets.yaml."""

    metric: str
    labels: dict[str, str] = Field(default_factory=dict)
    by: tuple[str, ...] = ()
    show: Literal["last", "growth", "mean", "p95"]
    #: Seconds; None for `last`.
    window: _Seconds | None = None
    above: float | None = None
    below: float | None = None
    reaches: float | str | None = None

    @model_validator(mode="after")
    def _one_line(self) -> Self:
        if sum(line is not None for line in (self.above, self.below, self.reaches)) != 1:
            raise ValueError("give one of above, below and reaches")
        if (self.show == "last") != (self.window is None):
            raise ValueError("a window belongs to growth, mean and p95, and to these only")
        return self


class AlertRule(Noun):
    """When somebody is told, and what they can do. It holds while any of its conditions does."""

    title: str
    severity: Severity
    any: Annotated[tuple[Condition, ...], Field(min_length=1, max_length=6)]
    #: Seconds that it must hold before somebody is told.
    hold: Annotated[int, Field(ge=0, multiple_of=60)] = 0
    what_to_do: str


class Burn(Noun):
    """Errors of an objective, made `rate` times faster than allowed over a long window and still over a short one."""

    name: str
    long: _Seconds
    short: _Seconds
    rate: Annotated[float, Field(gt=1)]
    severity: Severity


class Objective(Noun):
    """What part of a distribution's values has to be good over seven days: those below a bound, or those from a bound on."""

    title: str
    goal: Annotated[float, Field(gt=0, lt=1)]
    metric: str
    labels: dict[str, str] = Field(default_factory=dict)
    good_below: float | None = None
    good_from: float | None = None
    burns: tuple[Burn, ...]
    what_to_do: str

    @property
    def bound(self) -> float:
        """The line between good and bad."""
        return self.good_below if self.good_below is not None else (self.good_from or 0.0)

    @model_validator(mode="after")
    def _can_fire(self) -> Self:
        if (self.good_below is None) == (self.good_from is None):
            raise ValueError("give either good_below or good_from")
        # Rounded: 1 / (1 - 0.9) comes out a hair above 10.
        never = [burn.name for burn in self.burns if burn.rate >= round(1 / (1 - self.goal), 6)]
        if never:
            raise ValueError(f"burn {never[0]} can never be: with every value bad the rate is {1 / (1 - self.goal):g}")
        return self


class AlertFile(Noun):
    alerts: dict[str, AlertRule]
    objectives: dict[str, Objective]


def problems(file: AlertFile, metrics: Mapping[str, Metric], budgets: Mapping[str, object]) -> Iterator[str]:
    """Say what in alerts.yaml could never fire, because nobody declares or emits it so."""
    for name, rule in file.alerts.items():
        for condition in rule.any:
            where, metric = f"alerts.{name}", metrics.get(condition.metric)
            yield from _unknown(where, condition.metric, {*condition.labels, *condition.by}, metric)
            if metric is None:
                continue
            if condition.show not in _SHOWN[metric.kind]:
                yield f"{where}: {condition.metric} is a {metric.kind}, which has no {condition.show}"
            line = condition.above if condition.above is not None else condition.below
            if condition.show == "p95" and line not in (metric.bounds or ()):
                yield f"{where}: {line} is no bound of {condition.metric}, so nobody can tell how much lies beyond it"
            if isinstance(condition.reaches, str) and condition.reaches not in budgets:
                yield f"{where}: budgets.yaml has no {condition.reaches}"
    for name, objective in file.objectives.items():
        where, metric = f"objectives.{name}", metrics.get(objective.metric)
        yield from _unknown(where, objective.metric, set(objective.labels), metric)
        if metric is not None and objective.bound not in (metric.bounds or ()):
            yield f"{where}: {objective.bound:g} is no bound of {objective.metric}"


def _unknown(where: str, name: str, labels: set[str], metric: Metric | None) -> Iterator[str]:
    if metric is None:
        yield f"{where}: metrics.yaml declares no metric {name}"
    elif strangers := labels - set(metric.labels):
        yield f"{where}: metric {name} has no label {sorted(strangers)[0]}"
