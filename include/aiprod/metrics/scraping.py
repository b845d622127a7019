"""The page that Prometheus scrapes: every series as it stands in the ledger, whichever process serves it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

from aiprod.catalog import catalog
from aiprod.ledger import Ledger, points
from aiprod.ledger.points import Series

if TYPE_CHECKING:
    from prometheus_client import Metric

__all__ = ["PREFIX", "scrape"]

PREFIX = "aiprod_"


def scrape(ledger: Ledger) -> tuple[str, bytes]:
    """Return content type and body of `/metrics`, as of the last flush. Reads the ledger once, and writes nothing."""
    # Only here: a task that serves nobody need not load it.
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.registry import Collector

    with ledger.read() as conn:
        several = points.series(conn)

    class _Page(Collector):
        def collect(self) -> Iterable[Metric]:
            return _families(several)

    # One of its own: the usual one tells of the process that serves the page.
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page())
    return CONTENT_TYPE_LATEST, generate_latest(registry)


def _families(several: list[Series]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    for name, metric in catalog().metrics.items():
        family: CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
        own = [each for each in several if each.name == name]
        if metric.kind == "distribution":
            family = HistogramMetricFamily(PREFIX + name, metric.description, labels=metric.labels)
            for each in own:
                bounds = [*(str(float(bound)) for bound in metric.bounds or ()), "+Inf"]
                counts = list(zip(bounds, accumulate(each.buckets or ()), strict=True))
                family.add_metric(_values(each, metric.labels), counts, each.total)
        elif metric.kind == "gauge":
            family = GaugeMetricFamily(PREFIX + name, metric.description, labels=metric.labels)
            for each in own:
                family.add_metric(_values(each, metric.labels), each.last)
        else:
            family = CounterMetricFamily(PREFIX + name, metric.description, labels=metric.labels)
            for each in own:
                family.add_metric(_values(each, metric.labels), each.total)
        yield family


def _values(series: Series, labels: tuple[str, ...]) -> list[str]:
    return [series.labels[label] for label in labels]
