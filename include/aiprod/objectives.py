"""How each objective stands over seven days: how much was good, and what is left of the errors that are allowed."""

from __future__ import annotations

from datetime import timedelta

from aiprod.alerting import counted, quantile
from aiprod.catalog import Catalog
from aiprod.ledger import Ledger, history
from aiprod.ledger.engine import now as database_now
from aiprod.models import Noun

__all__ = ["WINDOW", "Standing", "standings"]

#: What every objective is judged over, here and at every monitoring service.
WINDOW = timedelta(days=7)


class Standing(Noun):
    """One objective and the distribution it is about.

    `buckets` counts the values of seven days below each of `bounds`, then the rest: [lower, upper). `middle` and `p95` are
    read out of them, so they are as fine as the bounds are; None where nothing was measured.
    """

    name: str
    title: str
    unit: str
    goal: float
    bound: float
    #: Whether values below the bound are the good ones, or those from it on.
    good_below: bool
    good: int
    bad: int
    middle: float | None
    p95: float | None
    bounds: tuple[float, ...]
    buckets: tuple[int, ...]

    @property
    def reached(self) -> float | None:
        """The part that was good; None where nothing was measured."""
        return self.good / (self.good + self.bad) if self.good + self.bad else None

    @property
    def allowed(self) -> float:
        """How many of as many values may be bad."""
        return (self.good + self.bad) * (1 - self.goal)

    @property
    def left(self) -> float | None:
        """The part of the error budget that is not used up, below zero where it is overdrawn; None: nothing measured."""
        return 1 - self.bad / self.allowed if self.allowed else None


def standings(ledger: Ledger, catalog: Catalog) -> list[Standing]:
    """Return every objective of alerts.yaml as its metric stands now: the same figures by which alerts are raised."""
    found = []
    with ledger.read() as conn:
        since = database_now(conn) - WINDOW
        for name, objective in catalog.objectives.items():
            metric = catalog.metrics[objective.metric]
            seen = counted(objective, catalog, history.growth(conn, objective.metric, since=since))
            bounds = metric.bounds or ()
            some = seen.good + seen.bad > 0
            found.append(
                Standing(
                    name=name,
                    title=objective.title,
                    unit=metric.unit,
                    goal=objective.goal,
                    bound=objective.bound,
                    good_below=objective.good_below is not None,
                    good=seen.good,
                    bad=seen.bad,
                    middle=quantile(0.5, bounds, seen.buckets) if some else None,
                    p95=quantile(0.95, bounds, seen.buckets) if some else None,
                    bounds=bounds,
                    buckets=seen.buckets or (0,) * (len(bounds) + 1),
                )
            )
    return found
