"""A real Airflow starts, works, and is gone afterwards, whatever happened in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tools import processes
from tools.airflow_api import AirflowError
from tools.airflow_env import CHECKOUT
from tools.local_airflow import LocalAirflow

pytestmark = pytest.mark.airflow

DAG = """
import pendulum
from airflow.sdk import dag, task

@dag(schedule=None, start_date=pendulum.datetime(2026, 1, 1))
def two_steps():
    @task
    def first(): ...
    @task
    def second(): ...
    first() >> second()

two_steps()
"""


@pytest.fixture
def dags(tmp_path: Path) -> Path:
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "two_steps.py").write_text(DAG, encoding="utf-8")
    (tmp_path / "plugins").mkdir()
    return folder


@pytest.fixture
def airflow(tmp_path: Path, dags: Path) -> LocalAirflow:
    return LocalAirflow(tmp_path / "home", dags=dags, plugins=tmp_path / "plugins")


def until(true: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.1)
    return true()


def test_orders_from_all_sides_do_not_lock_the_api_server(airflow: LocalAirflow):
    """Airflow's own audit log did, for a minute, whenever a task reported while an order came in."""
    with airflow:
        airflow.wait_ready(dags=["two_steps"])
        started = time.monotonic()
        with ThreadPoolExecutor(4) as clients:
            runs = list(clients.map(lambda _: airflow.trigger("two_steps"), range(12)))
        states = [airflow.wait_run("two_steps", run, timeout=100)["state"] for run in runs]
        assert states == ["success"] * 12
        assert time.monotonic() - started < 55
        audited = airflow.call("GET", "eventLogs", params={"event": "trigger_dag_run"})
        assert audited["total_entries"] == 12
        logs = [log.read_text(encoding="utf-8") for log in (airflow.home / "logs").glob("*.log")]
        assert [log for log in logs if "database is locked" in log] == []
    assert processes.marked(airflow.home) == []


@pytest.mark.parametrize("components", [1, 4])
def test_an_interrupted_start_leaves_no_process_behind(airflow: LocalAirflow, components: int):
    airflow.start()
    assert until(lambda: len(processes.marked(airflow.home)) >= components, 60)

    airflow.stop()

    assert processes.marked(airflow.home) == []
    assert not airflow.running()


def test_it_ends_with_the_process_that_wanted_it_even_when_that_was_killed(tmp_path: Path, dags: Path):
    home = tmp_path / "home"
    code = (
        "import time; from pathlib import Path; from tools.local_airflow import LocalAirflow\n"
        f"LocalAirflow(Path({str(home)!r}), dags=Path({str(dags)!r}), plugins=Path({str(tmp_path / 'plugins')!r})).start()\n"
        "time.sleep(600)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], cwd=CHECKOUT, env=os.environ | {"PYTHONPATH": str(CHECKOUT)})
    assert until(lambda: len(processes.marked(home)) >= 4, 60)

    owner.send_signal(signal.SIGKILL)
    owner.wait()

    assert until(lambda: processes.marked(home) == [], 30)


def test_a_component_that_dies_is_told_at_once_with_its_log(airflow: LocalAirflow):
    (airflow.home / "logs").mkdir(parents=True)
    broken = LocalAirflow(
        airflow.home,
        dags=airflow.home,
        plugins=airflow.home,
        env={"AIRFLOW__CORE__AUTH_MANAGER": "no.such.AuthManager"},
    )
    try:
        broken.start()
        with pytest.raises(AirflowError, match=r"ended by itself[\s\S]*no\.such"):
            broken.wait_ready(timeout=60)
    finally:
        broken.stop()
    assert processes.marked(airflow.home) == []
