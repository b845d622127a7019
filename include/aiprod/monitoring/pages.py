"""The tables of docs/monitoring.md, made from the registry and from alerts.yaml: what is written there is what there is."""

from __future__ import annotations

from collections.abc import Iterator

from aiprod.alerting import line_of
from aiprod.catalog import Catalog
from aiprod.measures import Condition

__all__ = ["page", "tables"]

_BEGIN, _END = "<!-- made by `python -m aiprod.monitoring files`: {} -->", "<!-- end -->"


def tables(catalog: Catalog) -> dict[str, str]:
    """Return every made part of the page, by its name."""
    return {"metrics": "\n".join(_metrics(catalog)), "alerts": "\n".join(_alerts(catalog))}


def page(text: str, catalog: Catalog) -> str:
    """Return the page with its made parts as they should be. Raises `ValueError` for a page without their places."""
    for name, table in tables(catalog).items():
        begin = _BEGIN.format(name)
        before, found, rest = text.partition(begin)
        _, ended, after = rest.partition(_END)
        if not found or not ended:
            raise ValueError(f"the page has no place for {name}")
        text = f"{before}{begin}\n{table}\n{_END}{after}"
    return text


def _metrics(catalog: Catalog) -> Iterator[str]:
    yield "| metric | kind | unit | labels | what it says |"
    yield "|---|---|---|---|---|"
    for name, metric in catalog.metrics.items():
        yield f"| `{name}` | {metric.kind} | {metric.unit} | {', '.join(metric.labels)} | {metric.description} |"


def _alerts(catalog: Catalog) -> Iterator[str]:
    for name, rule in catalog.alerts.items():
        yield f"\n### {name}\n"
        when = "; or ".join(_when(condition, catalog) for condition in rule.any)
        lasting = f", for {rule.hold // 60} minutes" if rule.hold else ""
        yield f"*{rule.title}* ({rule.severity}). When {when}{lasting}.\n\n{rule.what_to_do}"
    for name, objective in catalog.objectives.items():
        for burn in objective.burns:
            yield f"\n### {name}_{burn.name}\n"
            windows = f"over {burn.long // 60} minutes and still over the last {burn.short // 60}"
            yield f"*{objective.title}, over seven days* ({burn.severity}). When it is missed more than"
            yield f"{burn.rate:g} times as often as allowed {windows}.\n\n{objective.what_to_do}"


def _when(condition: Condition, catalog: Catalog) -> str:
    labels = "".join(f" of {key} {value}" for key, value in condition.labels.items())
    each = f" of any {' and '.join(condition.by)}" if condition.by else ""
    window = f" over {condition.window // 60} minutes" if condition.window else ""
    way = {"last": "", "growth": "the growth of ", "mean": "the mean of ", "p95": "the 95th percentile of "}[condition.show]
    sign = "is above" if condition.above is not None else "is below" if condition.below is not None else "reaches"
    return f"{way}`{condition.metric}`{labels}{each}{window} {sign} {line_of(condition, catalog):g}"
