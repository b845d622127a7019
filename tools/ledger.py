"""The product's own command line, asked in the environment of a local Airflow."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tools.airflow_api import AirflowError
from tools.airflow_env import CHECKOUT
from tools.local_airflow import LocalAirflow


def upgrade(airflow: LocalAirflow) -> None:
    """Create or migrate the ledger that this Airflow's tasks use."""
    _ask(airflow, "ledger", "upgrade")


def result(airflow: LocalAirflow, job_id: str) -> dict[str, Any]:
    """Return what became of a job, as `aiprod result` tells it."""
    return dict(json.loads(_ask(airflow, "result", job_id)))


def _ask(airflow: LocalAirflow, *words: str) -> str:
    told = subprocess.run(
        [sys.executable, "-m", "aiprod.cli", *words],
        cwd=CHECKOUT,
        env=airflow.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if told.returncode:
        raise AirflowError(f"aiprod {' '.join(words)}: {told.stderr.strip()[-2000:]}")
    return told.stdout
