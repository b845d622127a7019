"""What one process of a storm does: the real steps of a job, one after the other, as a task runner would take them."""

from __future__ import annotations

import json
import os
import random
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, IntegrityError

from aiprod import cancelling, ordering, purchasing, reconciling, sourcing
from aiprod.catalog import Catalog
from aiprod.errors import AiprodError
from aiprod.ledger import Ledger, gates, jobs, purchases, results
from aiprod.ledger.engine import now as database_now
from aiprod.models import QAReport, Verdict
from aiprod.storage import Storage
from tests.safety import points
from tests.safety.clock import Clock
from tests.safety.plan import BACKENDS, Plan, Worker

__all__ = ["Troubles", "Walker", "live"]


@dataclass
class Troubles:
    """What nobody foresaw: one line each, in a file, since the process may not live to tell."""

    file: Path
    told: list[str] = field(default_factory=list)

    @contextmanager
    def tolerated(self, what: str) -> Iterator[None]:
        """A step that may be refused, or cut off from its database: the next try comes. Anything else is written down."""
        try:
            yield
        except AiprodError:
            pass
        except IntegrityError as error:
            # The database refused what the code had let through.
            self.note(what, error)
        except DBAPIError:
            pass
        except Exception as error:  # noqa: BLE001 - written down, and the verdict reads it
            self.note(what, error)

    def note(self, what: str, error: Exception) -> None:
        where = traceback.extract_tb(error.__traceback__)[-1]
        said = str(error).splitlines()[0]
        line = {"what": what, "error": f"{type(error).__name__}: {said}", "at": f"{Path(where.filename).name}:{where.lineno}"}
        with self.file.open("a") as file:
            file.write(json.dumps(line) + "\n")


@dataclass
class Walker:
    """The steps, over one ledger, one catalogue and one storage."""

    ledger: Ledger
    catalog: Catalog
    storage: Storage
    plan: Plan
    troubles: Troubles

    def enter(self, job_id: str, run_id: str) -> None:
        """Order and approve, as the first two tasks do."""
        ordering.enter(self.ledger, self.catalog, {"job_id": job_id, **self.plan.orders[job_id]}, job_id=job_id, run_id=run_id)
        ordering.ask_spend(self.ledger, self.catalog, job_id, run_id)

    def walk(self, job_id: str, run_id: str, *, rounds: int = 3, everywhere: bool = False) -> None:
        """One job from its order to its takes. `everywhere`: every render task is cleared, not only those with new work."""
        tolerated = self.troubles.tolerated
        with tolerated("enter"):
            self.enter(job_id, run_id)
        for round in range(1, rounds + 1):
            names: tuple[str, ...] = BACKENDS if everywhere else ()
            with tolerated("route"):
                routed = sourcing.route_jobs(self.ledger, self.catalog, {job_id: 1}, round)[job_id]
                if isinstance(routed, Exception):
                    raise routed
                names = tuple(dict.fromkeys((*routed.backends, *names)))
            for name in names:
                with tolerated(f"render at {name}"):
                    purchasing.render(self.ledger, self.catalog, self.storage, {job_id: 1}, name, round)
            with tolerated("score"):
                self.judge(job_id)
            done = False
            with tolerated("look"), self.ledger.read() as conn:
                done = not sourcing.shots_without_take(conn, job_id, 1)
            if done or not names:
                return

    def route_together(self, job_ids: Sequence[str], number: int) -> None:
        """What a batch does first: all the jobs that are there decided on and held in one transaction."""
        for job_id in job_ids:
            with self.troubles.tolerated("enter"):
                self.enter(job_id, f"run-{job_id}-{number % 2}")
        with self.troubles.tolerated("route together"):
            sourcing.route_jobs(self.ledger, self.catalog, dict.fromkeys(job_ids, 1), 1, batch=True)

    def judge(self, job_id: str) -> None:
        """A verdict for every take, without decoding it: the first take of a bad job is rejected."""
        with self.ledger.read() as conn:
            new = results.unjudged(conn, job_id, 1)
        for take in new:
            with self.ledger.write() as conn:
                bought = purchases.get(conn, take.take_id)
                bad = bought is not None and bought.sequence == 1 and job_id in self.plan.bad
                word = Verdict.REJECTED if bad else Verdict.ACCEPTED
                results.judge(conn, QAReport(take_id=take.take_id, technical=0.5 if bad else 0.9), word, now=database_now(conn))

    def tidy(self) -> None:
        with self.troubles.tolerated("reconcile"):
            reconciling.reconcile(self.ledger, self.catalog, self.storage)

    def settle(self, job_id: str, run_id: str) -> None:
        with self.troubles.tolerated("settle"):
            cancelling.release_holds(self.ledger, self.catalog, job_id, 1)
            with self.ledger.write() as conn:
                jobs.settle_run(conn, run_id, now=database_now(conn))

    def cancel(self, job_id: str) -> None:
        with self.troubles.tolerated("cancel"), self.ledger.write() as conn:
            gates.cancel_job(conn, job_id, by="the storm", now=database_now(conn))

    def stop(self) -> None:
        with self.troubles.tolerated("stop"), self.ledger.write() as conn:
            gates.stop_purchasing(conn, "the storm says so", by="the storm", now=database_now(conn))


def live(walker: Walker, worker: Worker, clock: Clock) -> None:
    """One process's life, from the start barrier to its end. Runs in a fork and returns only if it survives."""
    # A process's patience passes with the same jumps as the ledger's clock.
    purchasing.monotonic = clock.monotonic  # type: ignore[assignment]
    fate = worker.fate
    if fate.point:
        points.install(fate.point, fate.nth, fate.signal)
    if fate.pages is not None:
        _full_disk(walker.ledger, fate.pages)
    rng = random.Random(f"{walker.plan.seed} {worker.number}")  # noqa: S311 - repeatable on purpose
    order = list(walker.plan.orders)
    order = order[worker.number % len(order) :] + order[: worker.number % len(order)]
    tasks: dict[str, Callable[[], Any]] = {
        "walk": lambda: _walk_all(walker, worker, order),
        "reconcile": lambda: [walker.tidy() for _ in range(2)],
        "cancel": lambda: walker.cancel(rng.choice(order)),
        "stop": walker.stop,
    }
    tasks[worker.task]()


def _walk_all(walker: Walker, worker: Worker, order: list[str]) -> None:
    if worker.number % 3 == 0:
        walker.route_together(order, worker.number)
    # Two of three stay with one job, or the storm would be over before they met.
    for job_id in order if worker.number % 3 == 0 else order[:1]:
        run_id = f"run-{job_id}-{worker.number % 2}"
        walker.walk(job_id, run_id, rounds=2)
        if worker.settles:
            walker.settle(job_id, run_id)


def _full_disk(ledger: Ledger, pages: int) -> None:
    """Let this process's connections find the disk full after some pages more."""

    @event.listens_for(ledger.engine, "connect")
    def _limit(connection: Any, record: Any) -> None:
        used = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={used + pages}")


def end(code: int) -> None:
    """Leave a fork without running what belongs to its parent."""
    os._exit(code)
