"""Airflow is asked in the caller's own name, and what it refuses is refused in its own words."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException
from fastapi.responses import JSONResponse
from starlette.requests import Request

from aiprod_airflow.api.rest import AirflowClient, airflow_client, credential_of
from tests.aiprod_airflow.api.people import API, ORDER


def airflow(status: int, body: Any = None) -> tuple[FastAPI, list[Request]]:
    """An application that answers everything alike, and what it was asked."""
    app, asked = FastAPI(), list[Request]()

    @app.api_route("/{path:path}", methods=["POST", "PATCH"])
    async def say(request: Request) -> JSONResponse:
        asked.append(request)
        return JSONResponse(body, status)

    return app, asked


def ask(app: FastAPI, what: str, *args: Any, **credential: str) -> Any:
    async def once() -> Any:
        client = AirflowClient(app, credential)
        try:
            return await getattr(client, what)(*args)
        finally:
            await client.close()

    return asyncio.run(once())


def test_a_run_is_started_with_the_callers_credential_and_nothing_else_of_the_request() -> None:
    app, asked = airflow(200, {})

    assert ask(app, "start", "job-1", {"prompt": "x"}, authorization="Bearer t") is True
    assert asked[0].url.path == "/api/v2/dags/render_video/dagRuns"
    assert asked[0].headers["authorization"] == "Bearer t"
    request = Request({"type": "http", "headers": [(b"cookie", b"_token=t"), (b"host", b"h"), (b"x-forwarded-for", b"1")]})
    assert credential_of(request) == {"cookie": "_token=t"}


def test_a_run_that_is_there_already_is_not_new() -> None:
    assert ask(airflow(409, {"detail": "exists"})[0], "start", "job-1", {}) is False


@pytest.mark.parametrize(("said", "told"), [(401, 401), (403, 403), (400, 503), (404, 503), (500, 503)])
def test_what_airflow_refuses_the_caller_stays_so_and_all_else_may_pass(said: int, told: int) -> None:
    with pytest.raises(HTTPException, match="its own words") as refused:
        ask(airflow(said, {"detail": "its own words"})[0], "start", "job-1", {})

    assert refused.value.status_code == told


def test_a_body_that_is_no_json_is_told_by_its_status() -> None:
    with pytest.raises(HTTPException, match="HTTP 502"):
        ask(airflow(502, ["x"])[0], "start", "job-1", {})


@pytest.mark.parametrize(("said", "done"), [(200, True), (409, True), (403, True), (404, False)])
def test_only_a_question_that_has_not_been_asked_may_come_later(said: int, done: bool) -> None:
    app, asked = airflow(said, {})

    assert ask(app, "answer", "run/../x", "approve", "Approve") is done
    assert asked[0].scope["raw_path"].endswith(b"/dagRuns/run%2F..%2Fx/taskInstances/approve/-1/hitlDetails")


def test_an_airflow_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiprod_airflow.api.rest._PATIENCE", 0.05)
    app = FastAPI()

    @app.api_route("/{path:path}", methods=["POST"])
    async def hang() -> None:
        await asyncio.Event().wait()

    with pytest.raises(HTTPException, match="did not answer") as late:
        ask(app, "start", "job-1", {})
    assert late.value.status_code == 503


def test_an_application_that_is_not_in_airflow_says_so() -> None:
    async def once() -> None:
        await anext(airflow_client(Request({"type": "http", "headers": [], "state": {}})))

    with pytest.raises(HTTPException, match="not mounted"):
        asyncio.run(once())


def test_whom_airflow_does_not_let_start_runs_orders_nothing(api: API) -> None:
    assert api.client("eve", "viewer").post("/aiprod/job/create", json=ORDER).status_code == 403
    assert api.client().get("/aiprod/jobs").json()["jobs"] == []
