"""Airflow's public REST API, asked inside this process in the caller's own name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

import httpx
from fastapi import Depends, HTTPException, Request

from aiprod_airflow.api.access import DAG

__all__ = ["Airflow", "AirflowClient", "Question", "airflow_client"]

#: Whoever asks us asks Airflow: nothing else of the request goes on.
_FORWARDED = ("authorization", "cookie")
_PATIENCE = 30.0
#: More than a person reads in one sitting.
_QUESTIONS = 20
#: Only such a task takes an answer: not one that ran out of time or was cleared.
_WAITING = "state=awaiting_input"


@dataclass(frozen=True)
class Question:
    """A question that a run asks a person in Airflow: of which task, in its own words, since when."""

    dag_id: str
    run_id: str
    task_id: str
    subject: str
    asked_at: datetime

    @classmethod
    def of(cls, detail: Mapping[str, Any]) -> Question:
        """Read it out of what Airflow answers."""
        task = detail["task_instance"]
        asked_at = datetime.fromisoformat(detail["created_at"])
        return cls(task["dag_id"], task["dag_run_id"], task["task_id"], str(detail["subject"]), asked_at)


class AirflowClient:
    """The few things we ask of Airflow. It decides by the caller's own permissions."""

    def __init__(self, root_app: Any, credential: Mapping[str, str]) -> None:
        # No host, port or certificate is involved: the transport calls the application.
        transport = httpx.ASGITransport(app=root_app)
        self._client = httpx.AsyncClient(
            transport=transport, base_url="http://airflow.internal/api/v2/", headers=dict(credential), trust_env=False
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def start(self, run_id: str, conf: Mapping[str, Any]) -> bool:
        """Start a run of the DAG; return whether it is new: a run of that name may be there already.

        Raises `HTTPException`: what Airflow refuses the caller, or 503 when it could not start it now.
        """
        answer = await self._ask("POST", f"dags/{DAG}/dagRuns", {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)})
        if answer.status_code == 409:
            return False
        if answer.is_error:
            raise HTTPException(_relayed(answer), f"Airflow did not start run {run_id}: {_detail(answer)}")
        return True

    async def answer(self, run_id: str, task_id: str, option: str) -> bool:
        """Answer a parked question; return whether it takes answers no more: it was answered, or never will be asked.

        False: the task has not parked (yet). The ledger has the word already, so nothing here is an error of the answer.
        """
        where = f"dags/{DAG}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}/-1/hitlDetails"
        answer = await self._ask("PATCH", where, {"chosen_options": [option], "params_input": {}})
        return answer.status_code != 404

    async def questions(self, dags: str) -> list[Question] | None:
        """Return the questions that wait in the DAGs whose name begins with `dags`, the oldest first.

        None for whoever may not see them; None, too, when Airflow cannot say now.
        """
        where = f"dags/~/dagRuns/~/hitlDetails?response_received=false&order_by=created_at&limit={_QUESTIONS}"
        try:
            answer = await self._ask("GET", f"{where}&{_WAITING}&dag_id_prefix_pattern={quote(dags, safe='')}")
        except HTTPException:
            return None
        return None if answer.is_error else [Question.of(one) for one in answer.json()["hitl_details"]]

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        try:
            async with asyncio.timeout(_PATIENCE):
                return await self._client.request(method, path, json=body)
        except TimeoutError:
            raise HTTPException(503, f"Airflow did not answer within {_PATIENCE:g} s; send the same request again") from None


def _relayed(answer: httpx.Response) -> int:
    """What Airflow refuses this caller stays so; whatever else it cannot do, may pass."""
    return answer.status_code if answer.status_code in (401, 403) else 503


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("detail"))[:300]
    except (json.JSONDecodeError, AttributeError):
        return f"HTTP {answer.status_code}"


async def airflow_client(request: Request) -> AsyncIterator[AirflowClient]:
    """Airflow's API for one request, closed after it."""
    root_app = getattr(request.state, "aiprod_root_app", None)
    if root_app is None:
        raise HTTPException(503, "this application is not mounted in Airflow's api-server")
    client = AirflowClient(root_app, credential_of(request))
    try:
        yield client
    finally:
        await client.close()


def credential_of(request: Request) -> dict[str, str]:
    """What names the caller to Airflow."""
    return {name: value for name in _FORWARDED if (value := request.headers.get(name))}


Airflow = Annotated[AirflowClient, Depends(airflow_client)]
