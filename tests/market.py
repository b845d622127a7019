"""A market where tests order, buy and count: one ledger, one catalogue, paid vendors with books of their own."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from aiprod.catalog import Catalog
from aiprod.errors import JobFailed
from aiprod.ledger import Ledger, caps, gates, jobs, purchases
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.purchases import Purchase
from aiprod.models import Decision
from aiprod.pipeline import Pipeline
from aiprod.purchasing import Progress
from tests import vendor

__all__ = ["LONG_AGO", "RUN", "Market", "killed", "lethal"]

RUN = "run-1"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Market:
    """Every step is taken by a new `Pipeline`, as another process would take it."""

    ledger: Ledger
    catalog: Catalog
    books: Path

    @property
    def pipeline(self) -> Pipeline:
        return Pipeline(ledger=self.ledger, catalogue=self.catalog)

    def with_backend(self, name: str, **changes: Any) -> None:
        """Change what the catalogue says of one backend."""
        entry = self.catalog.backends[name].model_copy(update=changes)
        self.catalog = self.catalog.model_copy(update={"backends": {**self.catalog.backends, name: entry}})

    def with_preset(self, name: str = "quick_social", **changes: Any) -> None:
        """Change what the catalogue says of one preset."""
        preset = self.catalog.presets[name]
        preset = type(preset).model_validate(preset.model_dump() | changes)
        self.catalog = self.catalog.model_copy(update={"presets": {**self.catalog.presets, name: preset}})

    def with_budgets(self, **changes: Any) -> None:
        """Change the caps that no job can raise."""
        budgets = self.catalog.budgets
        budgets = type(budgets).model_validate(budgets.model_dump() | changes)
        self.catalog = self.catalog.model_copy(update={"budgets": budgets})

    def order(self, prompt: str = "a lighthouse", *, job_id: str = "job-1", run_id: str = RUN, **spec: Any) -> str:
        """Order one second of video, or the shots of `spec`."""
        raw: dict[str, Any] = {"job_id": job_id, **spec}
        raw |= {} if "shots" in raw else {"prompt": prompt, "seconds": raw.get("seconds", 1)}
        return self.pipeline.estimate([raw], run_id=run_id, job_id=job_id)[0]

    def approved(self, prompt: str = "a lighthouse", *, run_id: str = RUN, **spec: Any) -> str:
        """Order what the preset approves by itself."""
        job_id = self.order(prompt, run_id=run_id, **spec)
        asked = self.pipeline.ask(job_id, run_id=run_id)
        assert asked.answer == "approved", asked
        return job_id

    def routed(self, prompt: str = "a lighthouse", **spec: Any) -> str:
        """Order, approve, and set the money aside for the first attempt."""
        job_id = self.approved(prompt, **spec)
        self.pipeline.route([job_id], 1)
        return job_id

    def render(self, backend: str = "runway", *, round: int = 1, job_id: str = "job-1") -> Progress:
        return self.pipeline.render([job_id], backend, round)

    def bought(self, prompt: str = "a lighthouse", **spec: Any) -> str:
        """Order, approve, route and render one attempt at whoever was chosen."""
        job_id = self.routed(prompt, **spec)
        for name in {p.backend for p in self.purchases(job_id)}:
            self.render(name, job_id=job_id)
        return job_id

    def run(self, *job_ids: str, rounds: int = 3) -> None:
        """The attempts of a run, as the DAG wires them. Every render is final at once unless ordered otherwise."""
        for round in range(1, rounds + 1):
            for name in self.pipeline.route(job_ids, round):
                self.pipeline.render(job_ids, name, round)
            if self.pipeline.score(job_ids, round).then != "again":
                return

    def purchases(self, job_id: str = "job-1", version: int = 1) -> list[Purchase]:
        with self.ledger.read() as conn:
            return purchases.of_job(conn, job_id, version)

    def only(self, job_id: str = "job-1") -> Purchase:
        """The one purchase there is."""
        (purchase,) = self.purchases(job_id)
        return purchase

    def states(self, job_id: str = "job-1") -> list[tuple[str, str]]:
        """Where and how every purchase stands, oldest first within each shot."""
        return [(p.backend, p.state) for p in self.purchases(job_id)]

    def decisions(self, job_id: str = "job-1") -> list[tuple[int, str | None, Decision]]:
        with self.ledger.read() as conn:
            return jobs.decisions_of(conn, job_id, 1)

    def reasons(self) -> dict[str, str]:
        """What the last decision holds against each backend; nothing against the chosen one."""
        return {c.backend: c.lost for c in self.decisions()[-1][2].candidates}

    def refusal(self, round: int = 1) -> str:
        """Route what cannot be routed; return why."""
        with pytest.raises(JobFailed) as refused:
            self.pipeline.route(["job-1"], round)
        return str(refused.value)

    def events(self, topic: str) -> list[dict[str, Any]]:
        """What the ledger told the outside under a topic, oldest first."""
        with self.ledger.read() as conn:
            told = conn.execute(text("SELECT payload FROM outbox WHERE topic = :topic ORDER BY id"), {"topic": topic})
            return [json.loads(payload) for (payload,) in told]

    def accepts(self, backend: str | None = None) -> list[dict[str, object]]:
        """What the vendors booked: the ground truth of what was bought."""
        return vendor.accepts(self.books, backend)

    def finish(self) -> None:
        """Every render at the vendors began long ago."""
        for book in (self.books / "accepts").glob("*.json"):
            book.write_text(json.dumps(json.loads(book.read_text()) | {"at": LONG_AGO.isoformat()}))

    def balance(self, kind: str = "job", key: str = "job-1") -> caps.Balance:
        with self.ledger.read() as conn:
            found = caps.balance(conn, kind, key)
        assert found is not None
        return found

    def count(self, table: str) -> int:
        with self.ledger.read() as conn:
            return int(conn.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608 - our own names

    def sql(self, statement: str, **values: Any) -> None:
        """Edit rows as time, or somebody else, would."""
        with self.ledger.write() as conn:
            conn.execute(text(statement), values)

    def age(self, table: str, column: str, *, by: timedelta = timedelta(days=30)) -> None:
        """Let a time in every row of a table lie further back."""
        self.sql(f"UPDATE {table} SET {column} = {column} - :us", us=by // timedelta(microseconds=1))  # noqa: S608

    def leases_run_out(self) -> None:
        self.age("purchases", "lease_until")

    def cancel(self, job_id: str = "job-1") -> None:
        with self.ledger.write() as conn:
            gates.cancel_job(conn, job_id, by="somebody", now=database_now(conn))

    def stop(self) -> None:
        """Pull the kill switch."""
        with self.ledger.write() as conn:
            gates.stop_purchasing(conn, "a test says so", by="somebody", now=database_now(conn))

    def edit(self, job_id: str = "job-1") -> None:
        """Somebody edits the manifest: a new version."""
        with self.ledger.write() as conn:
            priced = jobs.priced(conn, job_id, jobs.latest(conn, job_id))
            newer = priced.manifest.model_copy(update={"version": priced.manifest.version + 1})
            jobs.write_manifest(conn, newer, priced.estimate, priced.backends, by="studio", now=database_now(conn))


def lethal(owner: object, name: str, *, after: bool = False) -> None:
    """Let this process be killed when it calls something: before it, or `after` it ran. Only for processes of their own."""
    original = getattr(owner, name)

    def die(*args: Any, **kwargs: Any) -> None:
        if after:
            original(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, die)


def killed(work: Callable[[], object]) -> None:
    """Do some work in a process of its own that must not survive it."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL, f"the process ended with {process.exitcode} instead of being killed"
