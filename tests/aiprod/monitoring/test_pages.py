"""docs/monitoring.md says what there is: every metric, and for every alert what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiprod.catalog import Catalog
from aiprod.monitoring.pages import page, tables

PAGE = Path(__file__).parents[3] / "docs" / "monitoring.md"


def test_the_page_is_up_to_date(config: Catalog) -> None:
    text = PAGE.read_text()
    assert page(text, config) == text, "run `python -m aiprod.monitoring files`"


def test_every_metric_and_every_alert_is_on_it(config: Catalog) -> None:
    made = tables(config)
    assert all(f"| `{name}` |" in made["metrics"] for name in config.metrics)
    burns = [f"{name}_{burn.name}" for name, objective in config.objectives.items() for burn in objective.burns]
    assert all(f"### {name}\n" in made["alerts"] for name in [*config.alerts, *burns])
    assert all(rule.what_to_do in made["alerts"] for rule in config.alerts.values())


def test_a_page_without_a_place_for_them_is_an_error(config: Catalog) -> None:
    with pytest.raises(ValueError, match="no place for metrics"):
        page("# Monitoring\n", config)
