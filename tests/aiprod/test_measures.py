"""What could never fire, or that nobody emits, is refused when the configuration is read, and not noticed when it is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from aiprod.catalog import load
from aiprod.errors import ConfigError
from tests.catalogue import CONFIG, write_catalogue


def changed(folder: Path, name: str, where: tuple[str, ...], value: Any) -> Path:
    """The shipped configuration with one value changed."""
    made = write_catalogue(folder / "config", vendors=None)
    said = yaml.safe_load((made / f"{name}.yaml").read_text())
    inner = said
    for key in where[:-1]:
        inner = inner[key] if not key.isdigit() else inner[int(key)]
    if value is None:
        del inner[where[-1]]
    else:
        inner[where[-1]] = value
    (made / f"{name}.yaml").write_text(yaml.safe_dump(said))
    return made


ONE = ("alerts", "latency_high", "any", "0")
BURN = ("objectives", "quality_7d", "burns", "0")


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        ((*ONE, "metric"), "pipeline_latency", "declares no metric pipeline_latency"),
        ((*ONE, "labels"), {"job_id": "j"}, "has no label job_id"),
        ((*ONE, "by"), ["backend"], "has no label backend"),
        ((*ONE, "show"), "growth", "is a distribution, which has no growth"),
        ((*ONE, "above"), 901, "901.0 is no bound"),
        ((*ONE, "window"), 90, "multiple of 60"),
        ((*ONE, "below"), 1, "give one of above, below and reaches"),
        (("alerts", "budget_warning", "any", "0", "reaches"), "weekly_usd", "budgets.yaml has no weekly_usd"),
        (("alerts", "budget_warning", "any", "0", "window"), 60, "a window belongs to"),
        ((*BURN, "rate"), 10, "burn fast can never be"),
        (("objectives", "quality_7d", "good_from"), 0.61, "0.61 is no bound"),
        (("objectives", "quality_7d", "good_below"), 0.6, "either good_below or good_from"),
    ],
)
def test_an_alert_that_could_not_fire_is_refused(tmp_path: Path, where: tuple[str, ...], value: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(changed(tmp_path, "alerts", where, value))


@pytest.mark.parametrize("value", [None, {"kind": "gauge", "unit": "USD", "labels": ["backend"], "description": "d"}])
def test_a_configuration_without_what_this_release_reports_stops_nothing_halfway(tmp_path: Path, value: Any) -> None:
    """It is refused as it is read, and not when a paid render is to be written down."""
    with pytest.raises(ConfigError, match=r"refunds is missing, or not what this release reports"):
        load(changed(tmp_path, "metrics", ("metrics", "refunds"), value))


def test_figures_of_ones_own_may_be_added(tmp_path: Path) -> None:
    own = {"kind": "counter", "unit": "1", "labels": ["reason"], "description": "d"}
    assert "my_figure" in load(changed(tmp_path, "metrics", ("metrics", "my_figure"), own)).metrics


def test_the_shipped_configuration_is_right() -> None:
    assert load(CONFIG).alerts
