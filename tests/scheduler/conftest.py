"""One real Airflow for all tests of this folder, with scripted vendors that keep their own books."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aiprod.ledger import Ledger, purchases
from aiprod.ledger.purchases import Purchase
from tests import vendor
from tests.catalogue import write_catalogue
from tests.scheduler.orders import ANSWERS, ENDLESS, ORDERS, SECOND_ORDERS
from tools.local_airflow import LocalAirflow

DAG = "render_video"

KEYED = "tests.keyed_vendor:KeyedVendor"
#: Keys with a word that nothing else contains; `test_keys.py` looks for it in everything that was written.
CANARIES = {"runway": "CANARY-runway-5d1e", "veo3": "CANARY-veo3-77ab"}


@dataclass
class Stack:
    """The running Airflow, its ledger, and the vendors' books."""

    airflow: LocalAirflow
    ledger: Ledger
    books: Path
    catalogue: Path

    def run_state(self, run_id: str) -> str:
        return str(self.airflow.run(DAG, run_id)["state"])

    def states(self, run_id: str) -> dict[str, str | None]:
        """Task states of a run by task id."""
        return self.airflow.states(DAG, run_id)

    def ran(self, run_id: str) -> dict[str, str | None]:
        """Task states of a run without what was skipped."""
        return {task: state for task, state in self.states(run_id).items() if state != "skipped"}

    def accepts(self, run_id: str) -> list[dict[str, Any]]:
        """What the vendors booked for a job: the ground truth of what was bought."""
        keys = {p.purchase_id for p in self.purchases(run_id)}
        return [a for a in vendor.accepts(self.books) if a["key"] in keys]

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
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test itself orders is priced at the same backends as there."""
    monkeypatch.setenv("RUNWAYML_API_SECRET", CANARIES["runway"])
    monkeypatch.setenv("GOOGLE_CREDENTIALS_JSON", CANARIES["veo3"])


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Airflow with every order of `orders.py` run to its end, questions answered as written there."""
    root = tmp_path_factory.mktemp("scheduler")
    books = root / "books"
    catalogue = write_catalogue(
        root / "config",
        strikes=10_000,
        backends={
            "replicate": {"adapter": "tests.vendor:MuteVendor"},
            "runway": {**_only_short(), "adapter": KEYED, "needs": ["RUNWAYML_API_SECRET"], "max_run_seconds": 3600},
            "veo3": {"adapter": KEYED, "needs": ["GOOGLE_CREDENTIALS_JSON"]},
        },
        budgets={"day_usd": 10_000, "day_warn_usd": 9_000, "project_usd": {"broke": 0.01, "tight": 0.30}},
        presets={"presets": {"impatient": _impatient()}},
    )
    env: dict[str, str | None] = {
        "AIPROD_DRY_RUN": None,
        "AIPROD_DATABASE_URL": None,
        "AIPROD_STORAGE_URL": None,
        "AIPROD_VAR_DIR": str(root / "var"),
        "AIPROD_CONFIG_DIR": str(catalogue),
        vendor.BOOKS: str(books),
        # Runway's key is in a connection, Veo 3's here.
        "RUNWAYML_API_SECRET": None,
        "GOOGLE_CREDENTIALS_JSON": CANARIES["veo3"],
    }
    (root / "var").mkdir(mode=0o700)
    ledger = Ledger(f"sqlite:///{root / 'var' / 'ledger.db'}")
    ledger.upgrade()
    books.mkdir()
    with LocalAirflow(root / "airflow", env=env) as airflow:
        airflow.wait_ready(120, dags=[DAG, "reconcile", "dispatch"])
        running = Stack(airflow, ledger, books, catalogue)
        typed = {"connection_id": "aiprod_runway", "conn_type": "aiprod_runway", "password": CANARIES["runway"]}
        airflow.call("POST", "connections", json=typed)
        for job_id, order in {**ORDERS, **ENDLESS}.items():
            airflow.trigger(DAG, {**order, "job_id": job_id}, job_id)
        for job_id, answers in ANSWERS.items():
            for task, word in answers:
                running.answer(job_id, task, word)
        for job_id in ORDERS:
            airflow.wait_run(DAG, job_id, timeout=300)
        for run_id, order in SECOND_ORDERS.items():
            airflow.trigger(DAG, order, run_id)
        for run_id in SECOND_ORDERS:
            airflow.wait_run(DAG, run_id, timeout=120)
        yield running


def _only_short() -> dict[str, Any]:
    """Runway makes up to 3 s here, so that a longer shot of the same job goes elsewhere in the same attempt."""
    return {
        "models": [
            {
                "name": "gen4.5",
                "seconds_range": [1, 3],
                "aspect_ratios": ["16:9", "9:16"],
                "resolutions": ["480p"],
                "audio": True,
                "image": True,
            }
        ]
    }


def _impatient() -> dict[str, Any]:
    """A preset whose question runs out after a few seconds."""
    return {
        "title": "Nobody will answer",
        "quality_floor": 0.6,
        "max_seconds": 30,
        "resolution": "480p",
        "attempts_per_shot": 3,
        "budget_usd": 10,
        "auto_approve_usd": None,
        "approval_hours": 0.001,
        "second_review": False,
        "unscored": "deliver",
        "may_degrade": True,
    }
