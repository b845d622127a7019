"""One real Airflow with an empty ledger, and vendors in a process of their own with the latency they are told."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from aiprod.catalog import Catalog, load
from aiprod.emulators.running import Emulators
from aiprod.ledger import Ledger, queue
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.job_status import status_of
from aiprod.models import USD
from aiprod.pipeline import Pipeline
from benchmarks.load.auditing import Audit, audited
from benchmarks.load.sizes import Sizes
from tests.catalogue import VENDORS, write_catalogue
from tools.local_airflow import LocalAirflow

__all__ = ["DAG", "Run", "World", "world"]

DAG = "render_video"
#: The shortest clip that is sold, in silence.
CLIP = {"preset": "quick_social", "seconds": 2, "audio": False}
#: A preset whose shots are tried once, so that a vendor that never answers is waited for once.
ONE_TRY = "one_try"
#: What Replicate is given in every scenario, so that a render that never ends ends here.
DEADLINE_SECONDS, MAX_RUN_SECONDS = 30.0, 45.0
SUBMIT_SECONDS = 15.0
#: How often runs are looked at: looking costs the api-server, which has work to do.
_LOOK_SECONDS = 2.0


@dataclass(frozen=True)
class Run:
    """How one run ended. `seconds` from its trigger to its end."""

    run_id: str
    state: str
    seconds: float


@dataclass
class World:
    """What scenarios act in. All of them share it, as customers do."""

    airflow: LocalAirflow
    ledger: Ledger
    vendors: Emulators
    catalog: Catalog
    root: Path
    sizes: Sizes
    pipeline: Pipeline = field(init=False)
    #: What a render takes at the vendors, in seconds.
    lasts: float = 0.0

    def __post_init__(self) -> None:
        self.pipeline = Pipeline(ledger=self.ledger, catalogue=self.catalog)

    def start(self, orders: Mapping[str, Mapping[str, Any]]) -> None:
        """Start a run for each order, all at once; the run has its job's name."""
        for job_id, order in orders.items():
            self.airflow.trigger(DAG, {**CLIP, **order, "job_id": job_id}, job_id)

    def ended(self, run_ids: Sequence[str], *, timeout: float, dag: str = DAG) -> dict[str, Run]:
        """Wait until runs are over and return how each ended. Raises `AirflowError` when they are not within `timeout`."""
        wanted = set(run_ids)

        def over() -> bool | None:
            time.sleep(_LOOK_SECONDS)
            return None if wanted & self.under_way(dag) else True

        self.airflow.wait(over, f"{len(wanted)} runs of {dag} did not end", timeout=timeout)
        return {run_id: _run(self.airflow.run(dag, run_id)) for run_id in run_ids}

    def batch(self, campaign: str, orders: Sequence[Mapping[str, Any]]) -> list[str]:
        """Enter jobs that were approved together, and start one run that carries them all; return their ids."""
        rows = [{**CLIP, **order} for order in orders]
        ids = self.pipeline.enlist(rows, campaign=campaign, amount=len(rows) * 20 * USD, by="load")
        with self.ledger.write() as conn:
            # Else `dispatch`, which looks every five minutes, may start another run for them.
            queue.postpone(conn, ids, database_now(conn) + timedelta(hours=1))
        self.airflow.trigger(DAG, {"batch": ids}, campaign)
        return ids

    def under_way(self, dag: str = DAG) -> set[str]:
        """The runs that are not over."""
        found: set[str] = set()
        for state in ("queued", "running"):
            answer = self.airflow.call("GET", f"dags/{dag}/dagRuns", params={"state": state, "limit": 100})
            found |= {run["dag_run_id"] for run in answer["dag_runs"]}
        return found

    def status(self, job_id: str) -> str:
        with self.ledger.read() as conn:
            return str(status_of(conn, job_id))

    def delivered(self, job_ids: Sequence[str]) -> list[str]:
        """Those that were delivered."""
        return [job_id for job_id in job_ids if self.status(job_id) == "delivered"]

    def program(self) -> httpx.Client:
        """A program that asks our API. This Airflow knows one user, who is logged in without a word."""
        return httpx.Client(base_url=f"{self.airflow.url}/aiprod", trust_env=False, timeout=60)

    def renders_take(self, seconds: float) -> None:
        """From now on a render takes this long at every vendor, unless its order says otherwise."""
        self.vendors.terms(seconds_per_render=seconds)
        self.lasts = seconds

    def in_flight(self, since: float) -> int:
        """How many renders the vendors had at once, of those accepted since a moment in epoch seconds."""
        begun = [line["at"] for line in self.vendors.accepts() if line["at"] >= since]
        return max((sum(1 for other in begun if other <= at < other + self.lasts) for at in begun), default=0)

    def audit(self) -> Audit:
        """Let `reconcile` finish what is left, then lay the vendors' books beside the ledger."""
        self.pipeline.reconcile()
        return audited(self.ledger, self.catalog, self.vendors.accepts())


def _run(said: Mapping[str, Any]) -> Run:
    queued, ended = (datetime.fromisoformat(said[name].replace("Z", "+00:00")) for name in ("queued_at", "end_date"))
    return Run(said["dag_run_id"], said["state"], (ended - queued).total_seconds())


@contextmanager
def world(root: Path, sizes: Sizes) -> Iterator[World]:
    """Start everything, and end it."""
    with Emulators(root / "vendors") as vendors:
        config = _catalogue(root / "config", sizes)
        env: dict[str, str | None] = {
            "AIPROD_DRY_RUN": None,
            "AIPROD_DATABASE_URL": None,
            "AIPROD_STORAGE_URL": None,
            "GEMINI_API_KEY": None,
            "AIPROD_VAR_DIR": str(root / "var"),
            "AIPROD_CONFIG_DIR": str(config),
            **vendors.environment,
        }
        # Here too: what this process reconciles, it asks the same vendors about.
        for name, value in env.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        (root / "var").mkdir(mode=0o700)
        ledger = Ledger(f"sqlite:///{root / 'var' / 'ledger.db'}")
        ledger.upgrade()
        with LocalAirflow(root / "airflow", env=env) as airflow:
            airflow.wait_ready(180, dags=[DAG, "bulk_render", "dispatch", "reconcile"])
            yield World(airflow, ledger, vendors, load(config), root, sizes)


def _catalogue(folder: Path, sizes: Sizes) -> Path:
    """The catalogue as it ships, adapters and prices included, but for room, money and how often a vendor is asked."""
    entry = {"slots": sizes.slots, "poll_seconds": 2, "submit_timeout_seconds": SUBMIT_SECONDS}
    backends: dict[str, Any] = {name: {**entry} for name in VENDORS}
    backends["replicate"] |= {"max_run_seconds": MAX_RUN_SECONDS, "deadline_seconds": DEADLINE_SECONDS}
    return write_catalogue(
        folder,
        vendors=None,
        # Faults are dealt on purpose here; none shall make a vendor unhealthy for the scenarios after it.
        strikes=10_000,
        backends=backends,
        budgets={"day_usd": 100_000, "day_warn_usd": 90_000},
        presets={
            "presets": {
                "quick_social": {"auto_approve_usd": 100},
                "brand_campaign": {"resolution": "720p"},
                "premium_spot": {"resolution": "720p"},
                ONE_TRY: _one_try(),
            }
        },
    )


def _one_try() -> dict[str, Any]:
    return {
        "title": "Tried once",
        "quality_floor": 0.6,
        "max_seconds": 30,
        "resolution": "720p",
        "attempts_per_shot": 1,
        "budget_usd": 10,
        "auto_approve_usd": 100,
        "approval_hours": 24,
        "second_review": False,
        "unscored": "deliver",
        "may_degrade": True,
    }
