"""Every metric that a policy, an objective, a dashboard, a rule, a panel or a page names is one that somebody emits.

Read off the files as they lie in the repository, by their text: whoever edits one by hand is noticed as well as whoever makes
them. And the reading itself is tried: a name that nobody emits, planted in each kind of file, is found.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aiprod.catalog import Catalog, load
from aiprod.channels import TOPICS
from aiprod.errors import ConfigError
from aiprod.metrics import CustomMetricsCollector
from aiprod.metrics.configured import SINKS
from tests.catalogue import CONFIG, write_catalogue

ROOT = Path(__file__).parents[3]
#: What Prometheus adds to the names of ours.
SUFFIXES = {"counter": ("_total",), "amount": ("_total",), "gauge": ("",), "distribution": ("_bucket", "_sum", "_count")}
#: Names of ours that are no metrics: packages, the plugin, and the connections of backends and of Cloud Monitoring.
_PACKAGES = {"airflow", "plugin", "cloud_monitoring"}
_SNAKE = r"[a-z]+(?:_[a-z0-9]+)+"

#: Every kind of file that names metrics, with one name that stands in each, as it is written there.
KINDS = {
    "include/monitoring/cloud/policies/latency_high.json": "custom.googleapis.com/aiprod/pipeline_duration",
    "include/monitoring/cloud/objectives/quality_7d.json": "custom.googleapis.com/aiprod/quality_score",
    "include/monitoring/cloud/dashboard.json": "custom.googleapis.com/aiprod/spend_today",
    "include/monitoring/cloud/descriptors.json": "custom.googleapis.com/aiprod/backend_up",
    "include/monitoring/grafana/aiprod.json": "aiprod_errors_total",
    "include/monitoring/prometheus/rules.yaml": "aiprod_parked_age",
    "include/config/alerts.yaml": "render_time",
    "docs/monitoring.md": "`series_quarantined`",
}


def files() -> list[str]:
    """Everything that is made of metrics' names, or tells of them."""
    made = [p for folder in ("include/monitoring", "deploy") for p in (ROOT / folder).rglob("*") if p.is_file()]
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), CONFIG / "alerts.yaml"]
    return [path.relative_to(ROOT).as_posix() for path in (*made, *pages)]


def strangers(path: str, text: str, config: Catalog) -> set[str]:
    """The names in a file that sound like a metric of ours and are none."""
    series = {name + suffix for name, metric in config.metrics.items() for suffix in SUFFIXES[metric.kind]}
    found = {name for name in re.findall(r"custom\.googleapis\.com/aiprod/(\w+)", text) if name not in config.metrics}
    others = {*_PACKAGES, *config.backends, *config.judges} if not path.startswith("include/monitoring/") else set()
    found |= {f"aiprod_{name}" for name in re.findall(r"\baiprod_(\w+)", text) if name not in series | others}
    if path == "docs/monitoring.md":
        said = set(re.findall(rf"`({_SNAKE})`", text))
        found |= {name for name in said - words(config) if not name.startswith("aiprod_")}
    if path == "include/config/alerts.yaml":
        found |= set(re.findall(rf"\b({_SNAKE})\b", " ".join(re.findall(r"what_to_do: (.*)", text)))) - words(config)
    return found


def words(config: Catalog) -> set[str]:
    """What a name of several words may be on a page about monitoring besides a metric."""
    burns = {f"{name}_{burn.name}" for name, objective in config.objectives.items() for burn in objective.burns}
    labels = {label for metric in config.metrics.values() for label in metric.labels}
    dags = {name for file in (ROOT / "dags").glob("*.py") for name in re.findall(r"^def (\w+)\(", file.read_text(), re.M)}
    face = {name for name in dir(CustomMetricsCollector) if not name.startswith("_")}
    logged = {"job_id", "purchase_id"}
    return {*config.metrics, *labels, *config.alerts, *burns, *TOPICS, *dags, *SINKS, *face, *logged}


@pytest.mark.parametrize("path", files())
def test_a_file_names_only_what_somebody_emits(config: Catalog, path: str) -> None:
    assert strangers(path, (ROOT / path).read_text(encoding="utf-8"), config) == set()


@pytest.mark.parametrize("path", KINDS)
def test_a_name_that_nobody_emits_is_found_in_each_kind_of_file(config: Catalog, path: str) -> None:
    text, name = (ROOT / path).read_text(encoding="utf-8"), KINDS[path]
    assert name in text
    planted = re.sub(r"(\w)(`?)$", r"\1_planted\2", name)
    assert strangers(path, text.replace(name, planted), config), f"{planted} in {path} was not noticed"


def test_every_kind_of_file_is_tried() -> None:
    """One of each folder: a new kind needs its own line above."""
    made = {Path(path).parent for path in files() if path.startswith("include/monitoring/") and not path.endswith(".md")}
    assert made <= {Path(path).parent for path in KINDS}


def test_a_rule_with_a_metric_that_nobody_emits_is_not_even_read(tmp_path: Path) -> None:
    folder = write_catalogue(tmp_path / "config", vendors=None)
    file = folder / "alerts.yaml"
    file.write_text(file.read_text().replace("metric: parked_age", "metric: parked_since"))
    with pytest.raises(ConfigError, match="declares no metric parked_since"):
        load(folder)
