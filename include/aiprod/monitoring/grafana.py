"""The dashboard as Grafana imports it."""

from __future__ import annotations

from typing import Any

from aiprod.catalog import Catalog
from aiprod.monitoring.panels import Panel, Query, panels
from aiprod.monitoring.promql import expression

__all__ = ["dashboard"]

_WIDTH, _HEIGHT = 12, 8
_UNITS = {"s": "s", "USD": "currencyUSD", "1": "short"}
#: Whoever imports it chooses the Prometheus that scrapes `/aiprod/metrics`.
_SOURCE = {"type": "prometheus", "uid": "${source}"}


def dashboard(catalog: Catalog) -> dict[str, Any]:
    """Return the dashboard's JSON."""
    return {
        "title": "AIPROD",
        "uid": "aiprod",
        "tags": ["aiprod"],
        "schemaVersion": 39,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]},
        "panels": [_panel(n, panel) for n, panel in enumerate(panels(catalog))],
    }


def _panel(n: int, panel: Panel) -> dict[str, Any]:
    steps = [{"color": "green", "value": None}, *({"color": "orange", "value": value} for _, value in panel.marks)]
    custom = {
        "drawStyle": "bars" if panel.draw == "bars" else "line",
        "thresholdsStyle": {"mode": "line" if panel.marks else "off"},
    }
    return {
        "id": n + 1,
        "title": panel.title,
        "type": "timeseries",
        "datasource": _SOURCE,
        "gridPos": {"x": n % 2 * _WIDTH, "y": n // 2 * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {
            "defaults": {"unit": _UNITS[panel.unit], "custom": custom, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "targets": [_target(query, chr(ord("A") + m)) for m, query in enumerate(panel.queries)],
    }


def _target(query: Query, ref: str) -> dict[str, Any]:
    asked = expression(query.metric, query.show, by=query.by, labels=query.labels, window="$__rate_interval")
    # A rate interval is minutes; a percentile or a mean of so few jobs would be noise.
    asked = asked.replace("$__rate_interval", "1h") if query.show not in ("last", "lowest") else asked
    legend = " ".join(
        [query.metric, *([query.show] if query.show[0] == "p" else []), *(f"{{{{{label}}}}}" for label in query.by)]
    )
    return {"refId": ref, "datasource": _SOURCE, "expr": asked, "legendFormat": legend}
