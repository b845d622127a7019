"""People who ask the API: nobody, and one of each of Airflow's roles; and the worker who does what was ordered."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, HTTPException
from starlette.routing import Mount
from starlette.testclient import TestClient

from aiprod.ledger import Ledger
from aiprod.pipeline import Pipeline
from aiprod_airflow.api.rest import Question, airflow_client

__all__ = ["API", "ORDER", "ROLES", "Recorder"]

#: Airflow's roles, weakest first; None is somebody who did not log in.
ROLES = (None, "viewer", "user", "op", "admin")

#: A person is asked about its money.
ORDER: dict[str, Any] = {"prompt": "a lighthouse at dusk", "preset": "brand_campaign", "seconds": 2, "audio": False}

#: Airflow's database outlives a test: no name is used twice.
_NUMBERS = itertools.count(1)


@dataclass
class Recorder:
    """Stands in for Airflow's API, where a test is about what we ask of it."""

    down: int | None = None
    started: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    answered: list[tuple[str, str, str]] = field(default_factory=list)
    asks: list[Question] = field(default_factory=list)

    async def start(self, run_id: str, conf: Mapping[str, Any]) -> bool:
        if self.down:
            raise HTTPException(self.down, "Airflow is down")
        self.started.append((run_id, dict(conf)))
        return True

    async def answer(self, run_id: str, task_id: str, option: str) -> bool:
        if self.down:
            raise HTTPException(self.down, "Airflow is down")
        self.answered.append((run_id, task_id, option))
        return True

    async def questions(self, dags: str) -> list[Question] | None:
        return None if self.down else [one for one in self.asks if one.dag_id.startswith(dags)]


@dataclass
class API:
    """The mounted application, its ledger, and clients for whoever asks."""

    app: FastAPI
    ledger: Ledger
    token: Callable[[str, str], str]
    #: A fault of ours fails the test; not, where the answer to one is looked at.
    strict: bool = True

    @property
    def ours(self) -> FastAPI:
        """Our own application, mounted in Airflow's."""
        return next(r.app for r in self.app.routes if isinstance(r, Mount) and r.path == "/aiprod")  # type: ignore[return-value]

    @property
    def pipeline(self) -> Pipeline:
        """What Airflow's tasks use."""
        return Pipeline()

    def client(self, name: str = "alice", role: str | None = "user", **headers: str) -> TestClient:
        """A program with somebody's token; without a role, nobody's."""
        named = {"Authorization": f"Bearer {self.token(name, role)}"} if role else {}
        return TestClient(self.app, headers={**named, **headers}, raise_server_exceptions=self.strict)

    def browser(self, name: str = "alice", role: str = "user", **headers: str) -> TestClient:
        """A browser with somebody's cookie."""
        client = TestClient(self.app, headers=headers, raise_server_exceptions=self.strict)
        client.cookies.set("_token", self.token(name, role))
        return client

    def recorded(self, down: int | None = None) -> Recorder:
        """Put a recorder in Airflow's place for this test."""
        recorder = Recorder(down)
        self.ours.dependency_overrides[airflow_client] = lambda: recorder
        return recorder

    def name(self) -> str:
        return f"order-{next(_NUMBERS)}"

    def order(self, client: TestClient | None = None, **changes: Any) -> str:
        """Order a video and return its id."""
        said = (client or self.client()).post("/aiprod/job/create", json={**ORDER, "job_id": self.name(), **changes})
        assert said.status_code == 201, said.text
        return str(said.json()["job_id"])

    def asked(self, client: TestClient | None = None, **changes: Any) -> str:
        """Order a video and let its run ask a person about the money."""
        job_id = self.order(client, **changes)
        self.pipeline.carry([job_id], run_id=job_id)
        assert self.pipeline.ask(job_id, run_id=job_id).answer is None
        self.pipeline.spend_question(job_id, run_id=job_id, task_id="approve")
        return job_id

    def cut(self, job_id: str, run_id: str | None = None) -> None:
        """Buy, judge and assemble an approved job as its run does, and ask a person about it where one has to look."""
        run_id, work = run_id or job_id, self.pipeline
        for attempt in (1, 2, 3):
            for backend in work.route([job_id], attempt):
                assert work.render([job_id], backend, attempt).waiting == ()
            if work.score([job_id], attempt).then == "assemble":
                break
        work.assemble([job_id])
        if any(review.reasons and review.answer is None for review in work.reviews([job_id])):
            work.review_question(job_id, run_id=run_id, task_id="review")

    def delivered(self, client: TestClient | None = None, *, settled: bool = True, **changes: Any) -> str:
        """Order a preview that nobody is asked about, and deliver it."""
        job_id = self.order(client, **{"preset": "quick_social", "backend": "animatic", **changes})
        work = self.pipeline
        work.carry([job_id], run_id=job_id)
        assert work.ask(job_id, run_id=job_id).answer == "approved"
        self.cut(job_id)
        work.deliver([job_id])
        if settled:
            work.settle(job_id)
        return job_id

    def look(self, job_id: str) -> dict[str, Any]:
        return dict(self.client().get(f"/aiprod/job/{job_id}").json())
