"""include/monitoring holds what is deployed from here, and every file names only what somebody emits."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from aiprod.catalog import Catalog
from aiprod.metrics.google_words import PREFIX
from aiprod.monitoring.files import files, write

FOLDER = Path(__file__).parents[3] / "include" / "monitoring"
#: What Prometheus adds to the names of ours.
SUFFIXES = {"counter": ("_total",), "amount": ("_total",), "gauge": ("",), "distribution": ("_bucket", "_sum", "_count")}


def test_the_files_are_those_that_are_made(config: Catalog) -> None:
    made = files(config)
    there = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()}
    kept = {path for path in there if not path.endswith(".md") and not path.startswith("cloud/channels/")}
    assert kept == set(made), "run `python -m aiprod.monitoring files`"
    for path, text in made.items():
        assert (FOLDER / path).read_text() == text, f"{path}: run `python -m aiprod.monitoring files`"


def test_every_metric_that_any_file_names_is_declared(config: Catalog) -> None:
    series = {f"aiprod_{name}{suffix}" for name, metric in config.metrics.items() for suffix in SUFFIXES[metric.kind]}
    for path, text in files(config).items():
        google = set(re.findall(re.escape(PREFIX) + r"(\w+)", text))
        assert google <= set(config.metrics), path
        if not path.startswith("cloud/"):
            assert set(re.findall(r"\baiprod_\w+", text)) <= series, path


def test_every_alert_and_burn_is_in_each_of_the_three(config: Catalog) -> None:
    burns = {f"{name}_{burn.name}" for name, objective in config.objectives.items() for burn in objective.burns}
    made = files(config)
    policies = {Path(path).stem for path in made if path.startswith("cloud/policies/")}
    rules = {rule["alert"] for rule in yaml.safe_load(made["prometheus/rules.yaml"])["groups"][0]["rules"]}
    assert policies == rules == {*config.alerts, *burns}


def test_writing_writes_what_differs_and_takes_away_what_is_made_no_more(config: Catalog, tmp_path: Path) -> None:
    assert len(write(config, tmp_path)) == len(files(config))
    (tmp_path / "cloud/policies/gone.json").write_text("{}")
    (tmp_path / "cloud/channels").mkdir()
    (tmp_path / "cloud/channels/ops.json").write_text("{}")
    (tmp_path / "cloud/dashboard.json").write_text("{}")
    assert write(config, tmp_path) == ["wrote cloud/dashboard.json", "deleted cloud/policies/gone.json"]
    assert write(config, tmp_path) == []
    assert (tmp_path / "cloud/channels/ops.json").exists()


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_every_file_is_one_document(config: Catalog, suffix: str) -> None:
    for path, text in files(config).items():
        if path.endswith(suffix):
            assert json.loads(text) if suffix == "json" else yaml.safe_load(text)
