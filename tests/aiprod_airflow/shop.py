"""A shop in which tests of the Airflow side order: a ledger, vendors, and what operators ask of a task instance."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiprod.ledger import Ledger, jobs, purchases
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.purchases import Purchase
from aiprod.pipeline import Pipeline
from tests import vendor

__all__ = ["RUN", "Call", "Shop", "TaskInstance"]

#: Calls a method of an operator as the task runner does.
Call = Callable[..., Any]

RUN = "run-1"


@dataclass
class TaskInstance:
    """What operators ask of a task instance: its names, and a place for XComs."""

    dag_id: str = "render_video"
    task_id: str = "attempt_1.runway"
    run_id: str = RUN
    id: str = "01890000-0000-7000-8000-000000000000"
    map_index: int = -1
    pushed: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


@dataclass
class Shop:
    """A ledger and vendors behind the environment that operators read."""

    ledger: Ledger
    books: Path

    @property
    def pipeline(self) -> Pipeline:
        return Pipeline()

    def order(self, prompt: str = "a lighthouse", *, job_id: str = "job-1", run_id: str = RUN, **spec: Any) -> str:
        """Order two seconds, or the shots of `spec`."""
        raw = {"preset": "quick_social", "job_id": job_id, **spec}
        raw |= {} if "shots" in raw else {"prompt": prompt, "seconds": raw.get("seconds", 2)}
        return self.pipeline.estimate([raw], run_id=run_id, job_id=job_id)[0]

    def routed(self, prompt: str = "a lighthouse", *, attempt: int = 1, **spec: Any) -> str:
        """Order, approve by preset, and hold the money for the first attempt."""
        job_id = self.order(prompt, **spec)
        assert self.pipeline.ask(job_id, run_id=RUN).answer == "approved"
        self.pipeline.route([job_id], attempt)
        return job_id

    def accepts(self) -> int:
        """How many renders the vendors booked: the ground truth of what was bought."""
        return len(vendor.accepts(self.books))

    def finish(self) -> None:
        """Every render at the vendors began long ago."""
        for book in (self.books / "accepts").glob("*.json"):
            booked = json.loads(book.read_text()) | {"at": datetime(2026, 1, 1, tzinfo=UTC).isoformat()}
            book.write_text(json.dumps(booked))

    def purchases(self, job_id: str = "job-1") -> list[Purchase]:
        with self.ledger.read() as conn:
            return purchases.of_job(conn, job_id, jobs.latest(conn, job_id))

    def edit(self, job_id: str = "job-1") -> None:
        """Somebody edits the manifest: a new version."""
        with self.ledger.write() as conn:
            priced = jobs.priced(conn, job_id, jobs.latest(conn, job_id))
            newer = priced.manifest.model_copy(update={"version": priced.manifest.version + 1})
            jobs.write_manifest(conn, newer, priced.estimate, priced.backends, by="studio", now=database_now(conn))
