"""A campaign through a real Airflow: approved once, made in one run, a bad row and a lost one named, nothing bought twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiprod.emulators.running import Emulators
from aiprod.ledger import Ledger
from tests.catalogue import write_catalogue
from tools.local_airflow import LocalAirflow

pytestmark = [pytest.mark.slow, pytest.mark.airflow]

DAG = "bulk_render"
LOST = "[[runway=fail-charged]] [[veo3=fail-charged]] [[replicate=fail-charged]]"
ROWS = ["key,prompt,seconds,audio", *(f"r{n},a lake{f' {LOST}' if n == 3 else ''},2,false" for n in range(1, 9)), "bad,x,soon,no"]


@pytest.fixture
def vendors(tmp_path: Path) -> Iterator[Emulators]:
    with Emulators(tmp_path / "vendors") as running:
        yield running


@pytest.fixture
def airflow(tmp_path: Path, vendors: Emulators) -> Iterator[LocalAirflow]:
    soon = {"poll_seconds": 1, "submit_timeout_seconds": 15, "slots": 4}
    backends = dict.fromkeys(("runway", "veo3", "replicate"), soon)
    budgets = {"day_usd": 1_000, "day_warn_usd": 900}
    config = write_catalogue(tmp_path / "config", vendors=None, strikes=10_000, backends=backends, budgets=budgets)
    var = tmp_path / "var"
    var.mkdir(mode=0o700)
    Ledger(f"sqlite:///{var / 'ledger.db'}").upgrade()
    own: dict[str, str | None] = {"AIPROD_DRY_RUN": None, "AIPROD_VAR_DIR": str(var), "AIPROD_CONFIG_DIR": str(config)}
    with LocalAirflow(tmp_path / "airflow", env={**own, **vendors.environment}) as running:
        running.wait_ready(240, dags=["render_video", DAG])
        # It would start the rows one by one as they come; here the campaign itself does.
        running.call("PATCH", "dags/dispatch", json={"is_paused": True})
        yield running


def approve(airflow: LocalAirflow, run_id: str) -> None:
    """Answer as a person would: not before the scheduler knows that the task is parked."""
    airflow.wait_task(DAG, run_id, "approve", ["awaiting_input"], timeout=240)
    report = f"TaskInstance Finished: dag_id={DAG}, task_id=approve, run_id={run_id},"
    log = airflow.home / "logs" / "scheduler.log"
    airflow.wait(lambda: report in log.read_text() or None, "the question was not reported parked", timeout=60)
    airflow.respond(DAG, run_id, "approve", ["Approve"])


def test_a_campaign_is_approved_once_made_together_and_never_bought_twice(
    airflow: LocalAirflow, vendors: Emulators, tmp_path: Path
) -> None:
    source = tmp_path / "rows.csv"
    source.write_text("\n".join(ROWS) + "\n")
    order: dict[str, Any] = {"source": str(source), "campaign": "spring"}
    airflow.trigger(DAG, order, "first")
    approve(airflow, "first")
    airflow.wait_run(DAG, "first", timeout=400)

    done = dict.fromkeys(("plan", "approve", "enlist", "carry"), "success")
    assert airflow.states(DAG, "first") == {**done, "report": "failed"}, "a row was left out, and one was lost"
    runs = airflow.call("GET", "dags/render_video/dagRuns")["dag_runs"]
    assert [len(run["conf"]["batch"]) for run in runs] == [8]
    told = airflow.call("GET", "assets/events?limit=100")["asset_events"]
    assert sorted(event["extra"]["job_id"] for event in told) == [f"spring-r{n}" for n in range(1, 9) if n != 3]
    folder = tmp_path / "var" / "storage" / "campaigns" / "spring"
    assert {file.name for file in folder.glob("*.mp4")} == {f"r{n}.mp4" for n in range(1, 9) if n != 3}
    log = "\n".join(airflow.log(DAG, "first", "report", 1))
    assert "line 10, column 3 (seconds)" in log and "r3: failed, assemble: shot 1 has no usable take" in log
    bought = len(vendors.accepts())

    airflow.trigger(DAG, order, "again")
    airflow.wait_run(DAG, "again", timeout=240)

    assert airflow.states(DAG, "again") == {**done, "report": "failed"}, "nobody is asked again"
    assert len(vendors.accepts()) == bought
