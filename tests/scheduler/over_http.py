"""What programs do over HTTP in the real Airflow: orders that wait for them, and a watcher that survives its server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import httpx

from tests.scheduler.orders import signed
from tools.airflow_env import CHECKOUT
from tools.local_airflow import LocalAirflow, _free_port

__all__ = ["ANSWERED_IN_AIRFLOW", "HTTP_ORDERS", "OverHttp", "SecondServer", "Watcher"]

_QUICK = {"preset": "quick_social", "audio": False}
_ASKED = {"preset": "brand_campaign", "audio": False}
_TWO = [{"prompt": "a harbour", "seconds": 2}, {"prompt": "a lighthouse", "seconds": 2}]

#: job id → order; entered over HTTP before all others, so that they have parked when the tests begin.
HTTP_ORDERS: dict[str, dict[str, Any]] = {
    job_id: signed(job_id, order)
    for job_id, order in {
        "http-story": {**_ASKED, "shots": _TWO},
        "http-redo": {**_QUICK, "shots": _TWO},
        "http-no": {**_ASKED, "prompt": "a lake", "seconds": 2},
        "http-asked": {**_ASKED, "prompt": "a lake", "seconds": 2},
        "http-final": {**_ASKED, "prompt": "a lake", "seconds": 2},
        "http-endless": {**_QUICK, "prompt": "[[runway=slow:30000]]", "seconds": 2, "backend": "runway"},
    }.items()
}

#: The one that a person approves in Airflow's own page.
ANSWERED_IN_AIRFLOW = {"http-final": [("approve", "Approve")]}


class OverHttp:
    """A program that asks one api-server. The stack knows one user, who is logged in without a word."""

    def __init__(self, url: str) -> None:
        self.client = httpx.Client(base_url=f"{url}/aiprod", trust_env=False, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.client.close()

    def post(self, path: str, body: Any = None) -> httpx.Response:
        return self.client.post(path, json=body)

    def job(self, job_id: str) -> dict[str, Any]:
        return dict(self.client.get(f"/job/{job_id}").raise_for_status().json())

    def until(self, airflow: LocalAirflow, job_id: str, status: str, *, timeout: float = 120) -> dict[str, Any]:
        """Wait until a job has a status, and return it."""

        def there() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["status"] == status else None

        return airflow.wait(there, f"{job_id} did not become {status}", timeout=timeout, run=("render_video", job_id))


class SecondServer:
    """Another api-server of the same Airflow, as behind a load balancer; it can be killed like one."""

    def __init__(self, airflow: LocalAirflow) -> None:
        self.port = _free_port(0)
        secrets = json.loads((airflow.home / "instance.json").read_text())["secrets"]
        env = {**airflow.environment(), **secrets, "AIRFLOW__API__PORT": str(self.port)}
        with (airflow.home / "logs" / "second-api-server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "airflow", "api-server"],
                cwd=CHECKOUT,
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.api = OverHttp(f"http://127.0.0.1:{self.port}")

    def ready(self) -> bool:
        with suppress(httpx.TransportError):
            return self.api.client.get("/presets").is_success
        return False

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(timeout=10)
        self.api.client.close()


class Watcher:
    """Follows one job and keeps what it was told, whichever server tells it."""

    def __init__(self, job_id: str) -> None:
        self.path = f"/job/{job_id}/events"
        self.job: dict[str, Any] = {}
        self.last_id = ""
        self.statuses: list[str] = []
        #: Of each stream, its first event.
        self.firsts: list[str] = []

    def watch(
        self, servers: Sequence[OverHttp], until: Callable[[dict[str, Any]], bool], *, timeout: float = 150
    ) -> dict[str, Any]:
        """Follow, coming back to the next server whenever a stream ends, until the job is as wanted."""
        ends_at = time.monotonic() + timeout
        while not (self.job and until(self.job)):
            assert time.monotonic() < ends_at, f"{self.path} came no further than {self.statuses}"
            for server in servers:
                with suppress(httpx.TransportError):
                    if self._stream(server, until):
                        break
        return self.job

    def _stream(self, server: OverHttp, until: Callable[[dict[str, Any]], bool]) -> bool:
        fresh = True
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        with server.client.stream("GET", self.path, headers=headers) as stream:
            for event, event_id, data in _messages(stream.raise_for_status().iter_lines()):
                self.last_id = event_id
                if fresh:
                    self.firsts.append(event)
                    fresh = False
                if event == "end":
                    return False
                self.job = data if event == "snapshot" else {**self.job, **data}
                if self.job["status"] not in self.statuses[-1:]:
                    self.statuses.append(self.job["status"])
                if until(self.job):
                    return True
        return False


def _messages(lines: Iterator[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    message: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            message[name] = value
            continue
        if "event" in message:
            yield message["event"], message["id"], json.loads(message["data"])
        message = {}
