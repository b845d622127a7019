"""One real Airflow for all tests of this folder, the shipped adapters, and emulated vendors that keep their own books."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from aiprod.emulators.running import Emulators
from aiprod.ledger import Ledger, purchases
from aiprod.ledger.purchases import Purchase
from tests.catalogue import write_catalogue
from tests.scheduler.orders import ANSWERS, ENDLESS, ORDERS, SECOND_ORDERS, signature
from tests.scheduler.over_http import ANSWERED_IN_AIRFLOW, HTTP_ORDERS, OverHttp
from tools.local_airflow import LocalAirflow

DAG = "render_video"
STEPS = ("estimate", "approve", "assemble", "review", "deliver", "settle", "push_metrics")
TEARDOWNS = {"settle": "success", "push_metrics": "success"}

#: Keys with a word that nothing else contains; `test_keys.py` looks for it in everything that was written.
CANARIES = {"runway": "CANARY-runway-5d1e", "replicate": "CANARY-replicate-77ab"}


def green(*tasks: str) -> dict[str, str]:
    """The states of a run that delivered, the tasks of its attempts given."""
    return dict.fromkeys((*STEPS, *tasks), "success")


@dataclass
class Stack:
    """The running Airflow, its ledger, and the vendors with their books."""

    airflow: LocalAirflow
    ledger: Ledger
    vendors: Emulators
    #: What Airflow's processes know of Veo 3 and Replicate; of Runway they know a connection.
    keys: dict[str, str] = field(repr=False)
    root: Path

    @property
    def catalogue(self) -> Path:
        return self.root / "config"

    def run_state(self, run_id: str) -> str:
        return str(self.airflow.run(DAG, run_id)["state"])

    def states(self, run_id: str) -> dict[str, str | None]:
        """Task states of a run by task id."""
        return self.airflow.states(DAG, run_id)

    def ran(self, run_id: str) -> dict[str, str | None]:
        """Task states of a run without what was skipped."""
        return {task: state for task, state in self.states(run_id).items() if state != "skipped"}

    def accepts(self, run_id: str) -> list[dict[str, Any]]:
        """What the vendors booked for a job: the ground truth of what was bought, whatever the ledger knows of it."""
        return [accept for accept in self.vendors.accepts() if signature(run_id) in json.dumps(accept["body"])]

    def purchases(self, job_id: str, version: int = 1) -> list[Purchase]:
        with self.ledger.read() as conn:
            return purchases.of_job(conn, job_id, version)

    def answer(self, run_id: str, task: str, word: str, *, parks: int = 1) -> None:
        """Answer a parked question as a person would: not before the scheduler knows that the task is parked."""
        self.parked(run_id, task, parks=parks)
        self.airflow.respond(DAG, run_id, task, [word])

    def parked(self, run_id: str, task: str, *, parks: int = 1) -> None:
        """Wait until a task has parked for the `parks`-th time, and the scheduler knows.

        An answer that overtakes the executor's report of the first leg fails the task, and its retry forgets the
        answer (facts/engine.md section 3). People are slower than that; a test is not.
        """
        self.airflow.wait_task(DAG, run_id, task, ["awaiting_input"], timeout=240)
        log = self.airflow.home / "logs" / "scheduler.log"
        report = f"TaskInstance Finished: dag_id={DAG}, task_id={task}, run_id={run_id},"
        self.airflow.wait(
            lambda: log.read_text().count(report) >= parks or None, f"{run_id} {task} was not reported parked", timeout=60
        )

    def watched(self, run_id: str, task: str, try_number: int = 1) -> None:
        """Wait until the triggerer watches a parked task: what a person does before that reaches nobody."""
        where = self.airflow.home / "logs" / f"dag_id={DAG}" / f"run_id={run_id}" / f"task_id={task}"
        begun = f"{run_id}/{task}/-1/{try_number} "

        def starting() -> bool | None:
            files = where.glob(f"attempt={try_number}.log.trigger.*")
            return True if any(begun in file.read_text() for file in files) else None

        self.airflow.wait(starting, f"nobody watches {task} of {run_id}", timeout=90)

    def log(self, run_id: str, task: str, try_number: int = 1) -> str:
        return "\n".join(self.airflow.log(DAG, run_id, task, try_number))


@pytest.fixture(autouse=True)
def _keys(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test itself orders is priced at the same backends as there."""
    for name, value in {**stack.keys, "RUNWAYML_API_SECRET": CANARIES["runway"]}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Airflow with every order of `orders.py` run to its end, questions answered as written there."""
    root = tmp_path_factory.mktemp("scheduler")
    with Emulators(tmp_path_factory.mktemp("vendors"), keys=CANARIES) as vendors:
        keys = {name: value for name, value in vendors.environment.items() if not name.startswith("RUNWAYML_")}
        # The key itself instead of the name of its file, which belongs to the vendors.
        keys["GOOGLE_CREDENTIALS_JSON"] = Path(keys.pop("GOOGLE_APPLICATION_CREDENTIALS")).read_text()
        env: dict[str, str | None] = {
            "AIPROD_DRY_RUN": None,
            "AIPROD_DATABASE_URL": None,
            "AIPROD_STORAGE_URL": None,
            "AIPROD_VAR_DIR": str(root / "var"),
            "AIPROD_CONFIG_DIR": str(_catalogue(root / "config")),
            "RUNWAYML_API_SECRET": None,
            **keys,
        }
        (root / "var").mkdir(mode=0o700)
        ledger = Ledger(f"sqlite:///{root / 'var' / 'ledger.db'}")
        ledger.upgrade()
        with LocalAirflow(root / "airflow", env=env) as airflow:
            airflow.wait_ready(120, dags=[DAG, "reconcile", "dispatch"])
            airflow.call("POST", "connections", json={"connection_id": "aiprod_runway", **runway_form(vendors)})
            running = Stack(airflow, ledger, vendors, keys, root)
            _everything(running)
            yield running


def runway_form(vendors: Emulators) -> dict[str, str]:
    """What a person types into Airflow's connection form for Runway."""
    return {"conn_type": "aiprod_runway", "password": vendors.key("runway"), "host": vendors.url}


def _everything(stack: Stack) -> None:
    with OverHttp(stack.airflow.url) as program:
        for job_id, order in HTTP_ORDERS.items():
            program.post("/job/create", {**order, "job_id": job_id}).raise_for_status()
    for job_id, order in {**ORDERS, **ENDLESS}.items():
        stack.airflow.trigger(DAG, {**order, "job_id": job_id}, job_id)
    for job_id, answers in {**ANSWERS, **ANSWERED_IN_AIRFLOW}.items():
        for task, word in answers:
            stack.answer(job_id, task, word)
    for job_id in ORDERS:
        stack.airflow.wait_run(DAG, job_id, timeout=300)
    for run_id, order in SECOND_ORDERS.items():
        stack.airflow.trigger(DAG, order, run_id)
    for run_id in SECOND_ORDERS:
        stack.airflow.wait_run(DAG, run_id, timeout=120)


def _catalogue(folder: Path) -> Path:
    """The catalogue as it ships but for patience, room and money; every preset makes small pictures."""
    soon = {"poll_seconds": 1, "submit_timeout_seconds": 15, "slots": 20}
    # An empty bucket proves that nothing runs only after the longest run.
    brief = {"max_run_seconds": 10, "deadline_seconds": None}
    presets: dict[str, dict[str, Any]] = {
        "quick_social": {"auto_approve_usd": 100},
        "brand_campaign": {"resolution": "720p"},
        "premium_spot": {"resolution": "720p"},
        "impatient": _impatient(),
    }
    return write_catalogue(
        folder,
        vendors=None,
        strikes=10_000,
        backends={
            "runway": {**soon, "max_run_seconds": 3600},
            "veo3": {**soon, "adapter": "tests.scheduler.dying:DyingVeo3", **brief},
            "replicate": soon,
        },
        budgets={"day_usd": 10_000, "day_warn_usd": 9_000, "project_usd": {"broke": 0.01, "tight": 0.30}},
        presets={"presets": presets},
    )


def _impatient() -> dict[str, Any]:
    """A preset whose question runs out after a few seconds."""
    return {
        "title": "Nobody will answer",
        "quality_floor": 0.6,
        "max_seconds": 30,
        "resolution": "720p",
        "attempts_per_shot": 3,
        "budget_usd": 10,
        "auto_approve_usd": None,
        "approval_hours": 0.001,
        "second_review": False,
        "unscored": "deliver",
        "may_degrade": True,
    }
