"""A new release under runs in flight: refused in clear words until the ledger is migrated, and then everything goes on."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, text

from aiprod.emulators.running import Emulators
from aiprod.ledger import Ledger, purchases
from aiprod.ledger.engine import REVISION
from tests.auditor import audit
from tests.catalogue import write_catalogue
from tests.scheduler.orders import signature, signed
from tools.airflow_env import CHECKOUT
from tools.local_airflow import LocalAirflow

pytestmark = [pytest.mark.slow, pytest.mark.airflow]

DAG = "render_video"
NEXT = f"{int(REVISION) + 1:04d}"
#: Adds to a table that has rows, as releases do.
_MIGRATION = f'''"""What the next release needs."""

import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "{NEXT}", "{REVISION}", None, None


def upgrade() -> None:
    op.add_column("purchases", sa.Column("of_the_next_release", sa.Text(), nullable=True))
    op.create_index("purchases_of_the_next_release", "purchases", ["of_the_next_release"])
'''
_SHORT = {"seconds": 2, "audio": False, "backend": "runway"}
ORDERS: dict[str, dict[str, Any]] = {
    job_id: signed(job_id, {**_SHORT, **order})
    for job_id, order in {
        "asked": {"prompt": "a lake", "preset": "brand_campaign"},
        "rendering": {"prompt": "[[runway=slow:30000]]", "preset": "quick_social"},
        "too-early": {"prompt": "a hill", "preset": "quick_social"},
    }.items()
}


@dataclass
class Upgraded:
    """What was seen while one release followed the other."""

    ledger: Ledger
    vendors: Emulators
    refused: str
    migrated: subprocess.CompletedProcess[str]
    older: dict[str, subprocess.CompletedProcess[str]]
    states: dict[str, str]
    tries: int


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    """Two runs in flight under this release; then the next one, and its migration only after it has refused to work."""
    root = tmp_path_factory.mktemp("upgrading")
    with Emulators(root / "vendors") as vendors:
        (root / "var").mkdir(mode=0o700)
        ledger = Ledger(f"sqlite:///{root / 'var' / 'ledger.db'}")
        ledger.upgrade()
        ours = {**vendors.environment, "AIPROD_VAR_DIR": str(root / "var"), "AIPROD_DRY_RUN": "0"}
        ours["AIPROD_CONFIG_DIR"] = str(_catalogue(root / "config"))
        with _airflow(root, CHECKOUT / "include", ours) as airflow:
            _order(airflow, "asked", "rendering")
            airflow.wait_task(DAG, "asked", "approve", ["awaiting_input"], timeout=120)
            airflow.wait_task(DAG, "rendering", "attempt_1.runway", ["deferred"], timeout=120)
        with _airflow(root, _next_release(root / "next"), ours) as airflow:
            _order(airflow, "too-early")
            refused = _refused(airflow)
            migrated = _cli(airflow, "upgrade")
            vendors.advance(30_000)
            _answer(airflow, "asked", "approve")
            _answer(airflow, "asked", "review")
            states = {job_id: str(airflow.wait_run(DAG, job_id, timeout=240)["state"]) for job_id in ORDERS}
            tries = _estimate(airflow)["try_number"]
            older = {verb: _cli(airflow, verb, include=CHECKOUT / "include") for verb in ("check", "upgrade")}
        yield Upgraded(ledger, vendors, refused, migrated, older, states, tries)


def test_until_the_ledger_is_migrated_a_task_says_which_revision_is_there_and_what_to_run(upgraded: Upgraded) -> None:
    assert f"is at revision {REVISION}, this release needs {NEXT}; run `python -m aiprod.cli ledger upgrade`" in upgraded.refused


def test_the_task_that_was_refused_is_tried_again_by_itself_and_its_job_delivered(upgraded: Upgraded) -> None:
    assert upgraded.states["too-early"] == "success"
    assert upgraded.tries > 1


@pytest.mark.parametrize("job_id", ["asked", "rendering"])
def test_a_run_that_waited_meanwhile_goes_on_and_buys_nothing_twice(upgraded: Upgraded, job_id: str) -> None:
    """One for a person's approval, one for a vendor's render."""
    accepts = [one for one in upgraded.vendors.accepts() if signature(job_id) in json.dumps(one["body"])]
    with upgraded.ledger.read() as conn:
        (bought,) = purchases.of_job(conn, job_id, 1)
        delivered = conn.execute(text("SELECT count(*) FROM deliveries WHERE job_id = :job"), {"job": job_id}).scalar()

    assert upgraded.states[job_id] == "success" and delivered == 1
    assert [accept["billable_micros"] for accept in accepts] == [bought.charged]


def test_the_migration_keeps_what_was_there(upgraded: Upgraded) -> None:
    assert upgraded.migrated.returncode == 0 and f"is at revision {NEXT}" in upgraded.migrated.stdout
    with upgraded.ledger.read() as conn:
        assert "of_the_next_release" in {column["name"] for column in inspect(conn).get_columns("purchases")}
        assert audit(conn) == []


@pytest.mark.parametrize("verb", ["check", "upgrade"])
def test_the_older_release_refuses_the_newer_ledger_and_leaves_it_as_it_is(upgraded: Upgraded, verb: str) -> None:
    told = upgraded.older[verb]
    assert told.returncode != 0 and "Traceback" not in told.stderr
    assert re.search(rf"revision {NEXT}, newer than this release, which needs {REVISION}", told.stdout + told.stderr)


def _next_release(folder: Path) -> Path:
    """The library as it will be one migration later."""
    include = shutil.copytree(CHECKOUT / "include", folder / "include", ignore=shutil.ignore_patterns("__pycache__"))
    engine = include / "aiprod" / "ledger" / "engine.py"
    now = engine.read_text(encoding="utf-8")
    assert now.count(f'REVISION = "{REVISION}"') == 1
    engine.write_text(now.replace(f'REVISION = "{REVISION}"', f'REVISION = "{NEXT}"'), encoding="utf-8")
    versions = engine.parent / "migrations" / "versions"
    (versions / f"{NEXT}_next_release.py").write_text(_MIGRATION, encoding="utf-8")
    return Path(include)


def _airflow(root: Path, include: Path, ours: dict[str, str]) -> LocalAirflow:
    """This root's Airflow with one release's library."""
    return LocalAirflow(root / "airflow", env={**ours, "AIPROD_DATABASE_URL": None, "PYTHONPATH": _path(include)})


def _path(include: Path) -> str:
    return os.pathsep.join(str(folder) for folder in (include, CHECKOUT / "plugins", CHECKOUT))


def _order(airflow: LocalAirflow, *job_ids: str) -> None:
    airflow.wait_ready(120, dags=[DAG])
    for job_id in job_ids:
        airflow.trigger(DAG, {**ORDERS[job_id], "job_id": job_id}, job_id)


def _estimate(airflow: LocalAirflow) -> dict[str, Any]:
    return airflow.call("GET", f"dags/{DAG}/dagRuns/too-early/taskInstances/estimate")


def _refused(airflow: LocalAirflow) -> str:
    """Wait until `estimate` was refused once, and return what it said."""
    airflow.wait(lambda: True if _estimate(airflow)["state"] == "up_for_retry" else None, "nothing was refused", timeout=120)
    return "\n".join(airflow.log(DAG, "too-early", "estimate", 1))


def _answer(airflow: LocalAirflow, run_id: str, task: str) -> None:
    airflow.wait_task(DAG, run_id, task, ["awaiting_input"], timeout=240)
    log = airflow.home / "logs" / "scheduler.log"
    report = f"TaskInstance Finished: dag_id={DAG}, task_id={task}, run_id={run_id},"
    if task != "approve":
        # Its first leg was reported to the scheduler of the release before.
        airflow.wait(lambda: True if report in log.read_text() else None, f"{task} was not reported parked", timeout=60)
    airflow.respond(DAG, run_id, task, ["Approve"])


def _cli(airflow: LocalAirflow, verb: str, include: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {**airflow.environment(), **({"PYTHONPATH": _path(include)} if include else {})}
    command = [sys.executable, "-m", "aiprod.cli", "ledger", verb]
    return subprocess.run(command, cwd=CHECKOUT, env=env, capture_output=True, text=True, check=False)


def _catalogue(folder: Path) -> Path:
    return write_catalogue(
        folder,
        vendors=None,
        backends={"runway": {"poll_seconds": 1, "slots": 20, "max_run_seconds": 36_000, "deadline_seconds": None}},
        presets={"presets": {"quick_social": {"auto_approve_usd": 100}, "brand_campaign": {"resolution": "720p"}}},
    )
