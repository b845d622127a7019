"""The whole story over HTTP, in the real Airflow, with vendors that keep their own books."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import pairwise

import pytest

from aiprod.ledger.job_status import TRANSITIONS
from aiprod.models import JobStatus
from tests.scheduler.conftest import DAG, Stack
from tests.scheduler.orders import signature
from tests.scheduler.over_http import HTTP_ORDERS, OverHttp, SecondServer, Watcher

pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module")
def api(stack: Stack) -> Iterator[OverHttp]:
    with OverHttp(stack.airflow.url) as program:
        yield program


@pytest.fixture(scope="module")
def second(stack: Stack) -> Iterator[SecondServer]:
    server = SecondServer(stack.airflow)
    stack.airflow.wait(lambda: server.ready() or None, "the second api-server did not answer", timeout=180)
    yield server
    server.kill()


def test_a_redo_buys_one_shot_and_uses_the_other_again_for_nothing(stack: Stack, api: OverHttp) -> None:
    """Its render goes on while the story below is told; the last test looks at what came of it."""
    before = api.until(stack.airflow, "http-redo", "delivered")
    said = api.post(
        "/job/http-redo/redo",
        {"base_version": 1, "shots": [2], "changes": {"2": {"prompt": f"a storm {signature('http-redo')}", "seconds": 2}}},
    )

    assert said.status_code == 201, said.text
    made = said.json()
    assert (made["version"], [shot["reused_from"] for shot in made["shots"]]) == (2, [1, None])
    assert made["costs"]["saved"] > 0
    assert made["estimate"]["expected"] < before["estimate"]["expected"]


def test_from_an_order_to_a_download(stack: Stack, api: OverHttp, second: SecondServer) -> None:
    job = api.until(stack.airflow, "http-story", "waiting_approval")
    shots = HTTP_ORDERS["http-story"]["shots"]
    seen = job["approval"]["amount"]

    # A shot is edited, and the price is another.
    edit = {"base_version": 1, "shots": [shots[0], {**shots[1], "seconds": 4, "camera": "a slow pan"}]}
    edited = api.post("/job/http-story/manifest", edit).json()
    assert edited["version"] == 2
    amount = api.job("http-story")["approval"]["amount"]
    assert amount > seen

    # What was seen before is not approved any more; what is seen now, is, once.
    for stale in ({"version": 1, "amount": seen}, {"version": 2, "amount": seen}):
        assert api.post("/job/http-story/approve", stale).status_code == 409
    approved = api.post("/job/http-story/approve", {"version": 2, "amount": amount})
    assert approved.status_code == 200, approved.text
    assert approved.json()["envelope"]["amount"] == amount
    assert api.post("/job/http-story/approve", {"version": 2, "amount": seen}).status_code == 409
    late = {"base_version": 2, "shots": shots}
    assert api.post("/job/http-story/manifest", late).status_code == 409

    # One api-server is killed in the middle of the watch; another tells the rest, and nothing twice.
    watcher = Watcher("http-story")
    watcher.watch([second.api], lambda job: any(shot["attempts"] for shot in job["shots"]))
    second.kill()
    reviewed = watcher.watch([api], lambda job: job["status"] == "final_approval")
    assert watcher.firsts[0] == "snapshot"
    assert set(watcher.firsts[1:]) <= {"change", "end"}
    assert reviewed == api.job("http-story")

    # The finished video, to be looked at before it goes out.
    sha = reviewed["review"]["cut_sha"]
    assert hashlib.sha256(api.client.get("/job/http-story/video").content).hexdigest() == sha
    assert api.post("/job/http-story/approve", {"version": 2, "cut_sha": "0" * 64}).status_code == 409
    assert api.post("/job/http-story/approve", {"version": 2, "cut_sha": sha}).status_code == 200
    delivered = watcher.watch([api], lambda job: job["status"] == "delivered")
    stack.airflow.wait_run(DAG, "http-story", timeout=120)
    assert stack.run_state("http-story") == "success"

    video = api.client.get("/job/http-story/video")
    assert hashlib.sha256(video.content).hexdigest() == delivered["delivery"]["video"]["sha256"]
    assert video.headers["etag"] == f'"{delivered["delivery"]["video"]["sha256"]}"'
    part = api.client.get("/job/http-story/video", headers={"Range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, video.content[:10])

    steps = [JobStatus(status) for status in watcher.statuses]
    assert all(after in TRANSITIONS[before] for before, after in pairwise(steps)), steps

    # The vendors' own books: two shots, inside what was approved, the edited words verbatim.
    booked = stack.accepts("http-story")
    assert len(booked) == 2
    billed = sum(accept["billable_micros"] for accept in booked)
    assert api.client.get("/job/http-story/costs").json()["sums"]["charged"] == billed <= amount
    assert any("a slow pan" in accept["body"]["promptText"] for accept in booked)


def test_a_job_that_is_refused_buys_nothing_and_its_run_is_green(stack: Stack, api: OverHttp) -> None:
    api.until(stack.airflow, "http-no", "waiting_approval")
    assert api.post("/job/http-no/reject", {"version": 1, "why": "not this year"}).json()["status"] == "rejected"
    stack.airflow.wait_run(DAG, "http-no", timeout=90)

    assert stack.run_state("http-no") == "success"
    assert stack.accepts("http-no") == []


def test_an_approval_given_in_airflows_own_page_is_the_same_approval(stack: Stack, api: OverHttp) -> None:
    job = api.until(stack.airflow, "http-final", "final_approval")

    assert job["envelope"]["approved_by"]
    assert len(stack.accepts("http-final")) == 1


class TestCancel:
    """In every state: nothing more is bought, what runs is asked to stop, and the run ends by itself."""

    def test_before_its_run_has_begun(self, stack: Stack, api: OverHttp) -> None:
        order = {"prompt": "a lake", "preset": "brand_campaign", "seconds": 2, "audio": False, "job_id": "http-fresh"}
        assert api.post("/job/create", order).status_code == 201
        assert api.post("/job/http-fresh/cancel").json()["status"] == "cancelled"
        stack.airflow.wait_run(DAG, "http-fresh", timeout=90)

        assert stack.accepts("http-fresh") == []

    def test_while_a_person_is_asked_about_the_money(self, stack: Stack, api: OverHttp) -> None:
        api.until(stack.airflow, "http-asked", "waiting_approval")
        assert api.post("/job/http-asked/cancel").json()["status"] == "cancelled"
        stack.airflow.wait_run(DAG, "http-asked", timeout=90)

        assert stack.run_state("http-asked") == "success"
        assert stack.accepts("http-asked") == []

    def test_while_it_renders(self, stack: Stack, api: OverHttp) -> None:
        api.until(stack.airflow, "http-endless", "rendering")
        stack.airflow.wait_task(DAG, "http-endless", "attempt_1.runway", ["deferred"], timeout=120)
        assert api.post("/job/http-endless/cancel").json()["status"] == "cancelled"
        vendor_id = stack.purchases("http-endless")[0].vendor_id

        assert any(line["event"] == "cancel" and line["id"] == vendor_id for line in stack.vendors.events())
        stack.airflow.wait_run(DAG, "http-endless", timeout=120)
        assert len(stack.accepts("http-endless")) == 1

    def test_while_a_person_is_asked_about_the_video(self, stack: Stack, api: OverHttp) -> None:
        api.until(stack.airflow, "http-final", "final_approval")
        assert api.post("/job/http-final/cancel").json()["status"] == "cancelled"
        stack.airflow.wait_run(DAG, "http-final", timeout=90)

        assert api.job("http-final")["delivery"] is None
        assert api.client.get("/job/http-final/video").status_code == 404

    def test_what_is_delivered_is_not_cancelled(self, stack: Stack, api: OverHttp) -> None:
        assert api.post("/job/http-story/cancel").status_code == 409
        assert api.job("http-story")["status"] == "delivered"


def test_the_redo_was_delivered_with_one_new_purchase(stack: Stack, api: OverHttp) -> None:
    job = api.until(stack.airflow, "http-redo", "delivered")
    stack.airflow.wait_run(DAG, "http-redo.v2", timeout=60)

    assert job["version"] == 2
    assert (len(stack.accepts("http-redo")), len(stack.purchases("http-redo", version=2))) == (3, 1)
    assert stack.run_state("http-redo.v2") == "success"
    assert [api.client.get(f"/job/http-redo/video?version={n}").status_code for n in (1, 2)] == [200, 200]
