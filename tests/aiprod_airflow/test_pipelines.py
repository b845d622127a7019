"""A run's keys come from Airflow's connections, its files are kept through Airflow's object storage."""

from __future__ import annotations

from pathlib import Path

import pytest

import tests.airflow_home  # noqa: F401 - before Airflow is imported

# isort: split
from airflow.sdk.execution_time import task_runner
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem

from aiprod.backends import keys
from aiprod.errors import ConfigError
from aiprod_airflow.pipelines import pipeline
from tests.aiprod_airflow.supervisor import Supervisor


def test_a_folder_is_kept_in_as_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIPROD_STORAGE_URL", (tmp_path / "store").as_uri())
    file = tmp_path / "take.mp4"
    file.write_bytes(b"a take")

    kept = pipeline().storage.keep(file, "job-1/take.mp4")

    assert (tmp_path / "store" / "job-1" / "take.mp4").read_bytes() == b"a take"
    assert kept.url == str(tmp_path / "store" / "job-1" / "take.mp4")


def test_a_bucket_is_reached_through_airflows_file_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attach("memory", fs=MemoryFileSystem())
    monkeypatch.setenv("AIPROD_STORAGE_URL", "memory://bucket/prefix")
    file = tmp_path / "take.mp4"
    file.write_bytes(b"a take")
    storage = pipeline().storage

    kept = storage.keep(file, "job-1/take.mp4")

    assert kept.url.startswith("memory://")
    with storage.local(kept.path) as local:
        assert local.read_bytes() == b"a take"


def test_a_file_system_that_nobody_installed_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIPROD_STORAGE_URL", "gs://bucket/prefix")

    with pytest.raises(ConfigError, match=r"gs://bucket/prefix.*apache-airflow-providers-google"):
        _ = pipeline().storage


def test_whoever_has_a_pipeline_finds_keys_in_airflows_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = Supervisor(connections={"aiprod_runway": {"password": "k"}})
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    keys.offer(None)

    pipeline()

    assert keys.keys_of("runway", ["RUNWAYML_API_SECRET"], needs=["RUNWAYML_API_SECRET"]) == {"RUNWAYML_API_SECRET": "k"}
    keys.offer(None)
