"""One storm: eight processes on one ledger, killed, stopped and cut off; then the drain, then the verdict."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from sqlalchemy import text

from aiprod.budgets import job_budget
from aiprod.ledger import Ledger
from aiprod.models import JobSpec, limit_micros
from aiprod.storage import Storage
from tests.auditor import audit
from tests.safety.ground import Ground, keep_connections
from tests.safety.judge import Caps, Finding, judge, rows_of
from tests.safety.matching import owned
from tests.safety.plan import Fate, Plan, Worker
from tests.safety.worker import Troubles, Walker, end, live

__all__ = ["Outcome", "run"]

#: Real seconds that anybody of a storm may live, on a machine however crowded; who lives longer is a finding.
PATIENCE = 240.0
#: Real seconds that somebody stays stopped while others still run.
LONGEST_SLEEP = 1.0
_LEASE = timedelta(seconds=30)


@dataclass
class Outcome:
    """What one storm came to."""

    seed: int
    database: str
    vendors: str = "generic"
    processes: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    accepts: int = 0
    billable: int = 0
    takes: int = 0
    parked: int = 0
    findings: list[Finding] = field(default_factory=list)
    repeat: str = ""


@dataclass
class _Child:
    worker: Worker
    pid: int
    stopped_at: float | None = None
    gone: bool = False


class _Storm:
    def __init__(self, plan: Plan, ground: Ground, ledger: Ledger) -> None:
        self.plan, self.ground, self.ledger = plan, ground, ledger
        self.outcome = Outcome(seed=plan.seed, database=plan.database, vendors=plan.vendors, repeat=plan.repeat)
        self.walker = Walker(
            ledger, plan.catalog, Storage.at(str(ground.storage)), plan, Troubles(ground.folder / f"troubles-{plan.seed}.jsonl")
        )
        self.children: list[_Child] = []

    def fork(self, workers: tuple[Worker, ...]) -> list[_Child]:
        """Fork processes that all wait, then let them go at once."""
        wait, go = os.pipe()
        born = []
        for worker in workers:
            pid = os.fork()
            if pid == 0:
                self._child(worker, wait)
            born.append(_Child(worker, pid))
        # A byte for each. The pipe's end would be no signal: who is stopped this early still holds it open.
        os.write(go, b"!" * len(workers))
        os.close(wait)
        os.close(go)
        self.children.extend(born)
        self.outcome.processes += len(born)
        return born

    def _child(self, worker: Worker, wait: int) -> None:
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            # Too short a life to tidy up in, and every look at the parent's objects would copy their pages.
            gc.disable()
            logging.disable(logging.CRITICAL)
            keep_connections(self.ledger)
            os.read(wait, 1)
            live(self.walker, worker, self.ground.clock)
        except BaseException as error:  # noqa: BLE001 - a fork must never return into its parent's code
            self.walker.troubles.note("live", error if isinstance(error, Exception) else RuntimeError(repr(error)))
        finally:
            end(0)

    def watch(self, children: list[_Child], began: float, *, until_stopped: bool) -> None:
        """Reap, and kill or stop whose time has come, until all are gone (or, if allowed, asleep for a while)."""
        cuts = list(self.plan.cuts) if until_stopped else []
        jump = self.plan.jump if until_stopped else None
        while True:
            now = time.monotonic() - began
            alive = [c for c in children if not self._reap(c)]
            if not alive or (until_stopped and self._time_to_wake(alive)):
                return
            if not until_stopped:
                self._wake(c for c in alive if self._asleep(c))
            for child in alive:
                self._meet_fate(child, now)
            if cuts and now > min(cuts):
                cuts.remove(min(cuts))
                self.outcome.faults["database connection cut"] += self.ground.cut_connection()
            if jump and now > jump[0]:
                self.ground.jump(jump[1], wait=False)
                self.outcome.faults["clock jump"] += 1
                jump = None
            if now > PATIENCE:
                self._give_up(alive)
                return
            time.sleep(0.002)

    def _time_to_wake(self, alive: list[_Child]) -> bool:
        """Everybody sleeps, or somebody slept so long that he may hold a lock that the others wait for."""
        longest = max((time.monotonic() - c.stopped_at for c in alive if c.stopped_at is not None), default=0.0)
        return all(self._asleep(c) for c in alive) or longest > LONGEST_SLEEP

    def _wake(self, children: Iterable[_Child]) -> None:
        for child in children:
            os.kill(child.pid, signal.SIGCONT)
            child.stopped_at = None
            child.worker = replace(child.worker, fate=Fate())

    def _asleep(self, child: _Child) -> bool:
        return child.stopped_at is not None and time.monotonic() - child.stopped_at > 0.1

    def _meet_fate(self, child: _Child, now: float) -> None:
        fate = child.worker.fate
        if fate.after is not None and now > fate.after and child.stopped_at is None:
            os.kill(child.pid, fate.signal)

    def _reap(self, child: _Child) -> bool:
        """Whether a child is gone. Counts how it went."""
        if child.gone:
            return True
        pid, status = os.waitpid(child.pid, os.WNOHANG | os.WUNTRACED)
        if pid == 0:
            return False
        if os.WIFSTOPPED(status):
            child.stopped_at = time.monotonic()
            self.outcome.faults["stopped"] += 1
            return False
        child.gone = True
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            self.outcome.kills[child.worker.fate.point or "at a random time"] += 1
        return True

    def _give_up(self, alive: list[_Child]) -> None:
        for child in alive:
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
            child.gone = True
        self.outcome.findings.append(Finding("unforeseen", f"{len(alive)} processes did not end in {PATIENCE:.0f} s"))

    def to_the_end(self) -> None:
        """Rage, then drain. Leaves no process behind."""
        try:
            self.rage()
        finally:
            for child in self.children:
                if not child.gone:
                    os.kill(child.pid, signal.SIGKILL)
                    os.waitpid(child.pid, 0)
        logging.disable(logging.CRITICAL)
        self.drain()
        logging.disable(logging.NOTSET)

    def rage(self) -> None:
        """Two waves: all at once, then, after the leases ran out, who retries and tidies while the stopped wake up."""
        began = time.monotonic()
        first = self.fork(self.plan.first)
        self.watch(first, began, until_stopped=True)
        self.ground.jump(_LEASE, wait=False)
        second = self.fork(self.plan.second)
        self._wake(child for child in first if not child.gone and child.stopped_at is not None)
        self.watch([*first, *second], time.monotonic(), until_stopped=False)

    def drain(self) -> None:
        """Time passes, steps are retried, until nothing moves any more. Nobody is killed."""
        walker, seconds = self.walker, (0, 100, 100, 250, 250, 400)
        for n, ahead in enumerate(seconds):
            self.ground.jump(timedelta(seconds=ahead), wait=True)
            if n:
                walker.tidy()
            for job_id in self.plan.orders:
                walker.walk(job_id, f"run-{job_id}-0", everywhere=True)
            if not self._unfinished():
                break
        for job_id in self.plan.orders:
            walker.settle(job_id, f"run-{job_id}-0")
        # What was bought last ends, and is brought home while its vendor still has it.
        for rest in (timedelta(minutes=10), timedelta(hours=26)):
            self.ground.jump(rest, wait=True)
            walker.tidy()

    def _unfinished(self) -> int:
        """How many purchases something can still become of."""
        statement = """
            SELECT count(*) FROM purchases p LEFT JOIN takes t ON t.take_id = p.purchase_id
            WHERE (p.state IN ('held', 'submitting', 'submitted', 'unknown') AND p.parked_at IS NULL)
               OR (p.state = 'succeeded' AND t.take_id IS NULL)"""
        with self.ledger.read() as conn:
            return int(conn.execute(text(statement)).scalar_one())

    def verdict(self) -> Outcome:
        lines = self.ground.booked()
        accepts = [line for line in lines if line["event"] == "accept"]
        with self.ledger.read() as conn:
            rows = rows_of(conn)
            books = audit(conn)
        out = self.outcome
        out.accepts = len(accepts)
        out.billable = sum(1 for a in accepts if a["billable_micros"] > 0)
        out.takes = len(rows["takes"])
        out.parked = sum(1 for p in rows["purchases"] if p["parked_at"] is not None and p["state"] in ("unknown", "submitted"))
        out.faults.update(f"vendor: {line['word']}" for line in lines if line["event"] == "fault")
        out.faults["midnight"] += self.plan.midnight
        out.faults["disk full"] += sum(1 for w in self.plan.first if w.fate.pages is not None)
        out.findings += judge(owned(accepts, rows["purchases"]), rows, caps_of(self.plan))
        out.findings += [Finding("unexplained hold", line) for line in books]
        # A vendor that broke down itself, and a key that was shown to a file server.
        out.findings += [Finding("unforeseen", str(line)) for line in lines if line["event"] in ("bug", "leak")]
        file = self.walker.troubles.file
        if file.exists():
            told = [json.loads(line) for line in file.read_text().splitlines()]
            out.findings += [Finding("unforeseen", f"{t['what']}: {t['error']} ({t['at']})") for t in told]
        return out


def caps_of(plan: Plan) -> Caps:
    """The storm's caps for the judge, from its plan."""
    budgets, preset = plan.catalog.budgets, plan.catalog.presets["quick_social"]
    specs = {job_id: JobSpec.parse(order) for job_id, order in plan.orders.items()}
    return Caps(
        zone=budgets.zone,
        day=limit_micros(budgets.day_usd),
        job={job_id: job_budget(spec, preset) for job_id, spec in specs.items()},
        project={name: limit_micros(usd) for name, usd in budgets.project_usd.items()},
        backend_day={name: limit_micros(usd) for name, usd in budgets.backend_day_usd.items()},
        projects={job_id: spec.project for job_id, spec in specs.items()},
    )


def run(plan: Plan, ground: Ground) -> Outcome:
    """Let one storm rage, drain and be judged. Leaves no process behind."""
    ledger = ground.prepare(plan)
    storm = _Storm(plan, ground, ledger)
    storm.to_the_end()
    return storm.verdict()
