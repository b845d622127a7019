"""The same events over server-sent events and a WebSocket, each stream of bounded length, each resumable."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.aiprod_airflow.api.people import API


def events(text: str) -> list[dict[str, Any]]:
    """Server-sent events as a browser reads them."""
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.strip().split("\n\n")]
    return [{**block, "data": json.loads(block["data"])} for block in blocks if "event" in block]


@pytest.fixture
def job_id(api: API) -> str:
    api.recorded()
    return api.order()


def test_a_stream_of_events_is_what_a_browser_reads(api: API, job_id: str) -> None:
    said = api.client(role="viewer").get(f"/aiprod/job/{job_id}/events")
    told = events(said.text)

    assert said.headers["content-type"].startswith("text/event-stream")
    assert (said.headers["cache-control"], said.headers["x-accel-buffering"]) == ("no-store", "no")
    assert said.text.startswith("retry: 2000\n\n")
    assert [event["event"] for event in told] == ["snapshot", "end"]
    assert told[0]["data"] == api.look(job_id)
    assert told[-1]["data"]["over"] is False


@pytest.mark.parametrize("how", ["header", "query"])
def test_who_comes_back_is_told_only_what_they_missed(api: API, job_id: str, how: str) -> None:
    path = f"/aiprod/job/{job_id}/events"
    last = events(api.client().get(path).text)[-1]["id"]
    api.pipeline.carry([job_id], run_id=job_id)
    given: dict[str, Any] = {"headers": {"Last-Event-ID": last}} if how == "header" else {"params": {"last_event_id": last}}
    told = events(api.client().get(path, **given).text)

    assert [event["event"] for event in told] == ["change", "end"]
    assert told[0]["data"]["status"] == "estimated"
    assert set(told[0]["data"]) == {"status", "revision", "runs"}


def test_a_change_is_told_while_the_stream_is_open(api: API, job_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiprod_airflow.api.watching.EVERY", 0.01)
    with api.client().websocket_connect(f"/aiprod/ws/job/{job_id}") as socket:
        assert socket.receive_json()["event"] == "snapshot"
        api.pipeline.carry([job_id], run_id=job_id)
        change = socket.receive_json()
        assert (change["event"], change["data"]["status"]) == ("change", "estimated")
        api.pipeline.cancel(job_id, by="alice")
        assert socket.receive_json()["data"]["status"] == "cancelled"
        # The run is not over: it may still book something.
        api.pipeline.settle(job_id)
        settled, end = socket.receive_json(), socket.receive_json()
    assert settled["data"]["runs"][0]["settled_at"]
    assert (end["event"], end["data"]["over"]) == ("end", True)


def test_a_websocket_resumes_too(api: API, job_id: str) -> None:
    with api.client().websocket_connect(f"/aiprod/ws/job/{job_id}") as socket:
        last = socket.receive_json()["id"]
    api.pipeline.cancel(job_id, by="alice")
    with api.client().websocket_connect(f"/aiprod/ws/job/{job_id}?last_event_id={last}") as socket:
        change = socket.receive_json()

    assert (change["event"], change["data"]["status"]) == ("change", "cancelled")


def test_a_job_that_is_over_is_told_whole_and_ended_at_once(api: API, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIPROD_STREAM_SECONDS", "600")
    api.recorded()
    told = events(api.client().get(f"/aiprod/job/{api.delivered()}/events").text)

    assert [(event["event"], event["data"].get("over")) for event in told] == [("snapshot", None), ("end", True)]


def test_what_a_watcher_says_is_not_listened_to(api: API, job_id: str) -> None:
    with api.client().websocket_connect(f"/aiprod/ws/job/{job_id}") as socket:
        socket.receive_json()
        socket.send_text("x" * 10_000)
        api.pipeline.cancel(job_id, by="alice")
        assert socket.receive_json()["data"]["status"] == "cancelled"


def test_a_job_that_is_not_there_has_no_events(api: API) -> None:
    assert api.client().get("/aiprod/job/nobody/events").status_code == 404
