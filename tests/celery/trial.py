"""Fifty jobs on two Celery workers while a worker, the triggerer and the scheduler are killed in turn; what came of it.

Twenty have a run of their own; thirty are a campaign, ten to a run.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import text

from aiprod.budgets import job_budget
from aiprod.catalog import load
from aiprod.emulators.running import Emulators
from aiprod.ledger import Ledger, queue
from aiprod.ledger.engine import now as database_now
from aiprod.models import USD, JobSpec, limit_micros
from aiprod.pipeline import Pipeline
from tests.auditor import audit
from tests.catalogue import write_catalogue
from tests.celery.cluster import WORKERS, Cluster, heartbeat_timeout
from tests.celery.verdict import Killed, Verdict
from tests.safety.judge import Caps, Finding, judge, rows_of
from tests.safety.matching import owned
from tests.scheduler.orders import signature, signed
from tools.airflow_env import CHECKOUT

__all__ = ["REPORT", "Trial", "run"]

DAG = "render_video"
REPORT = CHECKOUT / "var" / "load" / "celery.json"
#: How long a supervisor takes to see that a component is gone, and to start it again.
_RESTART_AFTER = 2.0
#: Every third job is bought at Google, who has the request at once and answers after this many seconds.
_STALL = 8
_CAMPAIGN = "celery-rows"
_BATCH = 10


_SHORT = {"preset": "quick_social", "seconds": 2, "audio": False}


def singles(count: int) -> dict[str, dict[str, Any]]:
    """Job id → order: renders that take a while, every third at Google, whose answers come late."""
    made = {}
    for n in range(count):
        late = n % 3 == 0
        words = f"[[veo3=stall:{_STALL}]]" if late else f"[[runway=slow:{15 + 2 * n}]]"
        order = {**_SHORT, "prompt": f"harbour {n} {words}", **({"backend": "veo3"} if late else {})}
        made[f"celery-{n:02d}"] = signed(f"celery-{n:02d}", order)
    return made


def rows(count: int) -> dict[str, dict[str, Any]]:
    """Job id → order of a campaign's rows."""
    ids = [f"{_CAMPAIGN}-{n}" for n in range(1, count + 1)]
    return {job_id: signed(job_id, {**_SHORT, "prompt": f"poster {job_id} [[runway=slow:20]]"}) for job_id in ids}


class Trial:
    """The story: order, kill in turn, wait, judge."""

    def __init__(self, cluster: Cluster, ledger: Ledger, vendors: Emulators, catalogue: Path, jobs: int) -> None:
        self.cluster, self.ledger, self.vendors, self.catalogue = cluster, ledger, vendors, catalogue
        self.singles = singles(jobs * 2 // 5)
        self.rows = rows(jobs - len(self.singles))
        self.orders = {**self.singles, **self.rows}
        self.runs = list(self.singles)
        self.out = Verdict(jobs)
        self._begun = time.monotonic()

    def to_the_end(self) -> Verdict:
        for job_id, order in self.singles.items():
            self.cluster.trigger(DAG, {**order, "job_id": job_id}, job_id)
        self._begin_the_campaign()
        self._kill_a_worker_that_waits_for_an_answer()
        self._kill_the_triggerer()
        self._kill_the_scheduler()
        for run_id in self.runs:
            self.cluster.wait_run(DAG, run_id, timeout=700)
        self.cluster.trigger("reconcile", {}, "after-the-trial")
        self.cluster.wait_run("reconcile", "after-the-trial", timeout=120)
        self.out.seconds = time.monotonic() - self._begun
        self._judge()
        return self.out

    def _begin_the_campaign(self) -> None:
        pipeline = Pipeline(ledger=self.ledger, catalogue=load(self.catalogue))
        entered = pipeline.enlist(list(self.rows.values()), campaign=_CAMPAIGN, amount=500 * USD, by="ann")
        with self.ledger.write() as conn:
            # Carried by the runs below, and not by `dispatch` meanwhile.
            queue.postpone(conn, entered, database_now(conn) + timedelta(hours=1))
        for first in range(0, len(entered), _BATCH):
            run_id = f"{_CAMPAIGN}-run-{first // _BATCH + 1}"
            self.runs.append(self.cluster.trigger(DAG, {"batch": entered[first : first + _BATCH]}, run_id))

    def _kill_a_worker_that_waits_for_an_answer(self) -> None:
        """Google has the request, the ledger has the intent, and nobody has the answer."""
        job_id, name = self.cluster.wait(self._unanswered, "no request waited for an answer", timeout=240)
        victims = self._running_in(name)
        killed, at = datetime.now(UTC), self._kill(name)
        assert any(accept for accept in self._accepts(job_id)), "it was killed before Google had the request"

        def again() -> list[datetime] | None:
            begun = [self._next_try(run_id, task_id, killed) for run_id, task_id in victims]
            return [moment for moment in begun if moment] if all(begun) else None

        moments = self.cluster.wait(again, f"nobody took up {victims}", timeout=heartbeat_timeout() + 180)
        seconds = max((moment - killed).total_seconds() for moment in moments)
        self._note(name, at, seconds, f"the last of its {len(victims)} tasks began again; {job_id} waited for an answer")

    def _kill_the_triggerer(self) -> None:

        def several() -> Counter[int] | None:
            watched = self._watched()
            return watched if watched.total() >= 5 else None

        before = self.cluster.wait(several, "too few renders were watched", timeout=240)
        dead = max(before, key=lambda owner: before[owner])
        at = self._kill("triggerer")

        def taken_up() -> bool | None:
            return True if dead not in self._watched() else None

        self.cluster.wait(taken_up, "nobody watches the renders of the dead triggerer", timeout=240)
        seconds = time.monotonic() - self._begun - at
        self._note("triggerer", at, seconds, f"another watched the last of its {before[dead]} tasks")

    def _kill_the_scheduler(self) -> None:
        self.cluster.wait(lambda: [task for name in WORKERS for task in self._running_in(name)] or None,
                          "no task was running", timeout=120)  # fmt: skip
        killed, at = datetime.now(UTC), self._kill("scheduler")
        statement = f"SELECT min(queued_dttm) FROM task_instance WHERE queued_dttm > '{killed.isoformat()}'"  # noqa: S608 - our own clock

        def queued() -> datetime | None:
            found: datetime | None = self.cluster.rows(statement)[0][0]
            return found

        moment = self.cluster.wait(queued, "the scheduler queues nothing", timeout=240)
        self._note("scheduler", at, (moment - killed).total_seconds(), "the next task was queued")

    def _kill(self, name: str) -> float:
        """Kill and start again; return when, in seconds since the first order."""
        at = time.monotonic() - self._begun
        self.cluster.kill(name)
        time.sleep(_RESTART_AFTER)
        self.cluster.start(name)
        return at

    def _note(self, what: str, at: float, seconds: float, how: str) -> None:
        self.out.kills.append(Killed(what, round(at, 1), _RESTART_AFTER, round(seconds, 1), how))
        print(f"{at:6.1f} s: {what} killed; after {seconds:.1f} s {how}", flush=True)

    def _unanswered(self) -> tuple[str, str] | None:
        """A job whose request Google has and whose answer is still out, and the worker that waits for it."""
        with self.ledger.read() as conn:
            asked = conn.execute(text("SELECT job_id FROM purchases WHERE state = 'submitting' AND backend = 'veo3'")).scalars()
            waiting = [job_id for job_id in asked if self._accepts(job_id)]
        for name in WORKERS:
            here = {run_id for run_id, _ in self._running_in(name)}
            for job_id in waiting:
                if job_id in here:
                    return job_id, name
        return None

    def _accepts(self, job_id: str) -> list[dict[str, Any]]:
        return [accept for accept in self.vendors.accepts() if signature(job_id) in json.dumps(accept["body"])]

    def _running_in(self, name: str) -> list[tuple[str, str]]:
        """Run and task of everything a worker runs now."""
        pids = {process.pid for process in self.cluster.of(name)}
        rows = self.cluster.rows("SELECT run_id, task_id, pid FROM task_instance WHERE state = 'running'")
        return [(run_id, task_id) for run_id, task_id, pid in rows if pid in pids]

    def _next_try(self, run_id: str, task_id: str, after: datetime) -> datetime | None:
        where = f"run_id = '{run_id}' AND task_id = '{task_id}' AND start_date > '{after.isoformat()}'"
        both = " UNION ALL ".join(f"SELECT start_date FROM {table} WHERE {where}"  # noqa: S608 - our own names
                                  for table in ("task_instance", "task_instance_history"))  # fmt: skip
        found = [row[0] for row in self.cluster.rows(both)]
        return min(found, default=None)

    def _watched(self) -> Counter[int]:
        """How many parked tasks each triggerer has taken on."""
        return Counter({row[0]: row[1] for row in self.cluster.rows(
            "SELECT triggerer_id, count(*) FROM trigger WHERE triggerer_id IS NOT NULL GROUP BY 1")})  # fmt: skip

    def _judge(self) -> None:
        """The vendors' books against the ledger's rows."""
        with self.ledger.read() as conn:
            rows, books = rows_of(conn), audit(conn)
            delivered = set(conn.execute(text("SELECT job_id FROM deliveries")).scalars())
        accepts, out = self.vendors.accepts(), self.out
        out.delivered = len(delivered & set(self.orders))
        out.runs = Counter(str(self.cluster.run(DAG, run_id)["state"]) for run_id in self.runs)
        out.accepted, out.billed_micros = len(accepts), sum(accept["billable_micros"] for accept in accepts)
        out.charged_micros = sum(p["charged"] or 0 for p in rows["purchases"])
        waiting = [p for p in rows["purchases"] if p["parked_at"] is not None and p["state"] in ("unknown", "submitted")]
        out.parked, out.parked_micros = len(waiting), sum(p["hold"] for p in waiting)
        begun = self.cluster.rows("SELECT try_number FROM task_instance WHERE start_date IS NOT NULL")
        out.tries = Counter(row[0] for row in begun)
        out.findings = judge(owned(accepts, rows["purchases"]), rows, self._caps())
        out.findings += [Finding("books", line) for line in books]

    def _caps(self) -> Caps:
        known = load(self.catalogue)
        preset = known.presets["quick_social"]
        specs = {job_id: JobSpec.parse({**order, "job_id": job_id}) for job_id, order in self.orders.items()}
        return Caps(
            zone=known.budgets.zone,
            day=limit_micros(known.budgets.day_usd),
            job={job_id: job_budget(spec, preset) for job_id, spec in specs.items()},
        )


def run(folder: Path, jobs: int = 50) -> Verdict:
    """Make everything in `folder`, let one trial run, and keep its figures in `var/load/celery.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    with Emulators(folder / "vendors") as vendors:
        catalogue = _catalogue(folder / "config")
        (folder / "var").mkdir(mode=0o700)
        ours = {"AIPROD_VAR_DIR": str(folder / "var"), "AIPROD_CONFIG_DIR": str(catalogue), "AIPROD_DRY_RUN": "0"}
        ours |= vendors.environment
        # What the trial itself orders is priced at the same backends.
        with patch.dict(os.environ, ours), Cluster(folder / "airflow", env=ours) as cluster:
            verdict = Trial(cluster, Ledger(cluster.ledger_url()), vendors, catalogue, jobs).to_the_end()
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(verdict.report(), indent=2) + "\n", encoding="utf-8")
    return verdict


def _catalogue(folder: Path) -> Path:
    """The catalogue as it ships but for patience, room and money."""
    soon = {"poll_seconds": 2, "submit_timeout_seconds": 30, "slots": 60, "max_run_seconds": 600, "deadline_seconds": None}
    return write_catalogue(
        folder,
        vendors=None,
        strikes=10_000,
        backends=dict.fromkeys(("runway", "veo3", "replicate"), soon),
        budgets={"day_usd": 10_000, "day_warn_usd": 9_000},
        presets={"presets": {"quick_social": {"auto_approve_usd": 100}}},
    )
