"""Airflow's own metrics leave as the compose file says: a real component of it, pushing to a collector."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

from tests.collector import Collector
from tools import airflow_env, metadata_db
from tools.airflow_env import CHECKOUT

COMPOSE = yaml.safe_load((CHECKOUT / "docker-compose.yaml").read_text(encoding="utf-8"))
DAG = "from airflow.sdk import DAG\nDAG('one')\n"
#: Long enough for a crowded machine.
PATIENCE = 240


@pytest.mark.slow
@pytest.mark.airflow
def test_a_component_started_with_the_compose_files_settings_tells_the_collector(tmp_path: Path) -> None:
    told = COMPOSE["services"]["dag-processor"]["environment"]
    ours = {name: str(told[name]) for name in told if name.startswith(("AIRFLOW__METRICS__", "OTEL_"))}
    dags, home = tmp_path / "dags", tmp_path / "home"
    for folder in (dags, home):
        folder.mkdir()
    (dags / "one.py").write_text(DAG)
    with Collector() as collector:
        threading.Thread(target=collector.serve_forever, args=(0.02,), daemon=True).start()
        env = airflow_env.inherited(os.environ) | airflow_env.new_secrets()
        env |= airflow_env.settings(home, port=1, dags=dags, plugins=tmp_path / "no-plugins")
        env |= {name: value.replace("http://otel-collector:4318", collector.url) for name, value in ours.items()}
        # What `AIRFLOW_OTEL_ON=True` in .env makes of it.
        env |= {"AIRFLOW__METRICS__OTEL_ON": "True", "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1"}
        metadata_db.provide(home / "airflow.db", env)
        command = [sys.executable, "-m", "airflow", "dag-processor", "--num-runs", "1"]
        ran = subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
        collector.shutdown()
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert {"airflow.dagbag_size", "airflow.dag_processing.total_parse_time"} <= collector.names
