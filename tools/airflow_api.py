"""What a person does in Airflow's pages, through its REST API, every wait with an end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import httpx

_T = TypeVar("_T")

#: The states a run does not leave by itself.
FINAL = ("success", "failed")

#: The most rows one answer holds.
PAGE = 100


class AirflowError(RuntimeError):
    """Airflow refused, ended or did not get there in time; the message shows what it said."""


class AirflowApi:
    """One Airflow's REST API v2, as its administrator."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client: httpx.Client | None = None

    def client(self) -> httpx.Client:
        """Return the one client of this Airflow, its base `/api/v2/`, with a bearer token. Closed with the instance."""
        if self._client is None:
            # trust_env: a proxy from the environment cannot reach loopback.
            with httpx.Client(base_url=self.url, trust_env=False, timeout=30) as anonymous:
                token = _ok(anonymous.get("/auth/token"))["access_token"]
            headers = {"Authorization": f"Bearer {token}"}
            self._client = httpx.Client(base_url=f"{self.url}/api/v2/", headers=headers, trust_env=False, timeout=60)
        return self._client

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, run_id: str | None = None) -> str:
        """Start a run and return its id."""
        body: dict[str, Any] = {"logical_date": None, "conf": dict(conf or {})}
        if run_id is not None:
            body["dag_run_id"] = run_id
        return str(self.call("POST", f"dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return a run as Airflow tells it: `state`, `start_date`, `conf` and more."""
        return self.call("GET", f"dags/{dag_id}/dagRuns/{run_id}")

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return every task instance of a run: `task_id`, `map_index`, `state`, `try_number` and more."""
        return self._all(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances", "task_instances")

    def states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """Return the state of every task of a run by task id; of a mapped task, the last instance's."""
        return {ti["task_id"]: ti["state"] for ti in self.task_instances(dag_id, run_id)}

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1) -> list[str]:
        """Return the lines of one try's log, without Airflow's group marks."""
        where = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        answer = self.call("GET", where, params={"map_index": map_index, "full_content": True})
        events = [event if isinstance(event, str) else str(event.get("event", "")) for event in answer["content"]]
        return [event for event in events if event and not event.startswith(("::group::", "::endgroup::"))]

    def respond(
        self, dag_id: str, run_id: str, task_id: str, options: Sequence[str], params: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Answer a task that waits for a person."""
        body = {"chosen_options": list(options), "params_input": dict(params or {})}
        return self.call("PATCH", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails", json=body)

    def clear(self, dag_id: str, run_id: str, task_ids: Sequence[str], *, downstream: bool = False) -> list[str]:
        """Clear tasks of one run, failed or not, and return the ids of what was cleared."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": list(task_ids),
            "only_failed": False,
            "include_downstream": downstream,
            "reset_dag_runs": True,
        }
        answer = self.call("POST", f"dags/{dag_id}/clearTaskInstances", json=body)
        return [ti["task_id"] for ti in answer["task_instances"]]

    def wait_run(self, dag_id: str, run_id: str, *, timeout: float = 120) -> dict[str, Any]:
        """Wait until a run is over and return it."""

        def over() -> dict[str, Any] | None:
            run = self.run(dag_id, run_id)
            return run if run["state"] in FINAL else None

        return self.wait(over, f"{dag_id} {run_id} did not end", timeout=timeout, run=(dag_id, run_id))

    def wait_task(self, dag_id: str, run_id: str, task_id: str, states: Sequence[str], *, timeout: float = 120) -> dict[str, Any]:
        """Wait until a task is in one of `states` (`awaiting_input`, `deferred`, …) and return the instance."""

        def there() -> dict[str, Any] | None:
            ti = self.call("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}")
            return ti if ti["state"] in states else None

        return self.wait(there, f"{task_id} did not become {' or '.join(states)}", timeout=timeout, run=(dag_id, run_id))

    def wait(self, look: Callable[[], _T | None], problem: str, *, timeout: float, run: tuple[str, str] | None = None) -> _T:
        """Return the first answer of `look` that is not None. Raises `AirflowError` after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            self.check()
            found = look()
            if found is not None:
                return found
            if time.monotonic() >= deadline:
                tasks = f"\ntasks: {self.states(*run)}" if run else ""
                raise AirflowError(f"{problem} within {timeout:g} s{tasks}\n{self.evidence()}")
            time.sleep(0.3)

    def check(self) -> None:
        """Raise `AirflowError` if this Airflow is known not to run any more."""

    def evidence(self) -> str:
        """Return what helps to see why a wait failed."""
        return f"look at {self.url}"

    def call(self, method: str, path: str, **kwargs: Any) -> dict[str, Any]:
        """Ask the API once and return the body. Raises `AirflowError` with Airflow's own words."""
        try:
            return _ok(self.client().request(method, path, **kwargs))
        except httpx.TransportError as error:
            self.check()
            raise AirflowError(f"{method} {path}: {error}\n{self.evidence()}") from error

    def _all(self, path: str, key: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        while True:
            answer = self.call("GET", path, params={"limit": PAGE, "offset": len(rows)})
            rows += answer[key]
            if len(rows) >= answer["total_entries"] or not answer[key]:
                return rows


def _ok(answer: httpx.Response) -> dict[str, Any]:
    """Return the body of a good answer."""
    if answer.is_success:
        return dict(answer.json()) if answer.content else {}
    raise AirflowError(f"{answer.request.method} {answer.request.url.path}: HTTP {answer.status_code}: {answer.text[:500]}")
