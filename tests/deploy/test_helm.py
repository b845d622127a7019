"""The chart's values name our image's Airflow, keep secrets out and migrate both schemas before anything starts."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tools.airflow_env import CHECKOUT

TEXT = (CHECKOUT / "deploy/helm/values.yaml").read_text(encoding="utf-8")
VALUES: dict[str, Any] = yaml.safe_load(TEXT)


def test_it_is_the_airflow_of_the_image() -> None:
    assert f"FROM apache/airflow:slim-{VALUES['airflowVersion']}-" in (CHECKOUT / "Dockerfile").read_text()


def test_no_secret_stands_in_it() -> None:
    names = re.findall(r"^\s*(\w*(?:[Pp]assword|[Ss]ecret|[Kk]ey|[Tt]oken)\w*): *(\S*)", TEXT, re.MULTILINE)
    assert {name for name, _ in names if not name.endswith("Name")} == set()
    assert all(value.startswith("aiprod") for _, value in names)


def test_one_job_migrates_both_schemas_and_nothing_waits_for_a_hook_that_waits_for_it() -> None:
    job = VALUES["migrateDatabaseJob"]
    assert job["args"] == ["airflow db migrate && python -m aiprod.cli ledger upgrade"]
    assert job["useHelmHooks"] is False


def test_what_watches_paid_renders_is_there_twice_and_workers_are_let_finish() -> None:
    assert min(VALUES[name]["replicas"] for name in ("scheduler", "triggerer", "apiServer")) >= 2
    assert VALUES["workers"]["keda"]["enabled"] is True
    assert VALUES["workers"]["terminationGracePeriodSeconds"] >= 600


def test_several_machines_never_share_a_file_as_ledger_or_a_folder_as_storage() -> None:
    assert VALUES["executor"] == "CeleryExecutor" and VALUES["postgresql"]["enabled"] is False
    (storage,) = [variable["value"] for variable in VALUES["env"] if variable["name"] == "AIPROD_STORAGE_URL"]
    assert storage.startswith("gs://")
