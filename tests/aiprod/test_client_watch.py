"""A watch tells every change once, whatever breaks between us, and ends when the job is over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aiprod.client_watch import Watch
from aiprod.client_wire import Credentials, Wire
from aiprod.errors import ApiRefused, ApiUnreachable, JobUnknown
from aiprod.models import JobStatus
from aiprod.views import JobView
from tests.api import TOKEN, Reply, Server, problem, serving, sse, view

EVENTS, JOB = "/aiprod/job/job-1/events", "/aiprod/job/job-1"


class Clock:
    """Sleeping is what lets time pass."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as desk:
        yield desk


def statuses(server: Server, *, patience: float = 60.0) -> list[str]:
    """Watch to the end; return what was told, in order."""
    return [job.status.value for job in watched(server, patience=patience)]


def watched(server: Server, *, patience: float = 60.0) -> Iterator[JobView]:
    clock = Clock()
    wire = Wire(server.url, Credentials(TOKEN), sleep=clock.sleep)
    yield from Watch(wire, "job-1", parse=JobView.model_validate, patience=patience, clock=clock).views()
    wire.close()


def job(status: str, revision: str) -> dict[str, object]:
    shots = view().shots if status == "rendering" else ()
    return view(status, revision=revision, shots=shots).model_dump(mode="json")


def change(status: JobStatus, revision: str) -> dict[str, object]:
    return {"status": status, "revision": revision, "shots": []}


END = ("end", "9", {"over": True})


def test_a_snapshot_and_every_change_are_told(server: Server) -> None:
    server.says(
        "GET", EVENTS, sse(("snapshot", "1", job("rendering", "r1")), ("change", "2", change(JobStatus.DELIVERED, "r2")), END)
    )
    assert statuses(server) == ["rendering", "delivered"]


def test_a_stream_that_ends_is_come_back_to_where_it_was(server: Server) -> None:
    server.says(
        "GET", EVENTS,
        sse(("snapshot", "1", job("rendering", "r1")), ("end", "1", {"over": False})),
        sse(("change", "2", change(JobStatus.SCORING, "r2")), ("end", "2", {"over": False})),
        sse(("change", "3", change(JobStatus.DELIVERED, "r3")), END),
    )  # fmt: skip
    assert statuses(server) == ["rendering", "scoring", "delivered"]
    assert [one.headers.get("last-event-id") for one in server.to("GET", EVENTS)] == [None, "1", "2"]
    assert server.to("GET", JOB) == []


def test_a_stream_that_breaks_is_opened_again_after_a_look(server: Server) -> None:
    broken = sse(("snapshot", "1", job("rendering", "r1")), cut=True)
    server.says("GET", EVENTS, broken, sse(("change", "2", change(JobStatus.DELIVERED, "r2")), END))
    server.says("GET", JOB, job("rendering", "r1"))
    assert statuses(server) == ["rendering", "delivered"]


@pytest.mark.parametrize("answer", [problem(404, "no such route"), Reply(405), Reply(body={"no": "stream"})])
def test_where_nothing_streams_the_job_is_looked_at(server: Server, answer: Reply) -> None:
    server.says("GET", EVENTS, answer)
    tagged = Reply(body=job("rendering", "r1"), headers={"ETag": '"r1"'})
    server.says("GET", JOB, tagged, Reply(304), job("rendering", "r1"), job("delivered", "r2"))
    assert statuses(server) == ["rendering", "delivered"]
    assert server.to("GET", JOB)[1].headers["if-none-match"] == '"r1"'
    assert len(server.to("GET", EVENTS)) == 1


def test_a_delivered_job_whose_run_goes_on_is_not_over(server: Server) -> None:
    server.says("GET", EVENTS, Reply(405))
    run = {"run_id": "job-1", "version": 1, "started_at": "2026-11-02T09:30:00Z", "settled_at": None}
    settled = run | {"settled_at": "2026-11-02T09:31:00Z"}
    first, last = ({**job("delivered", mark), "runs": [row]} for mark, row in (("r1", run), ("r2", settled)))
    server.says("GET", JOB, first, last)
    assert statuses(server) == ["delivered", "delivered"]


def test_a_server_that_restarts_is_waited_for(server: Server) -> None:
    begun = sse(("snapshot", "1", job("rendering", "r1")), cut=True)
    server.says("GET", EVENTS, begun, sse(("change", "2", change(JobStatus.DELIVERED, "r2")), END))
    server.says("GET", JOB, Reply(silent=True), Reply(503), Reply(429), job("rendering", "r1"))
    assert statuses(server) == ["rendering", "delivered"]


def test_one_that_does_not_come_back_is_given_up_in_time(server: Server) -> None:
    server.says("GET", EVENTS, sse(("snapshot", "1", job("rendering", "r1")), cut=True))
    server.says("GET", JOB, Reply(silent=True))
    with pytest.raises(ApiUnreachable):
        statuses(server, patience=10)
    assert len(server.to("GET", JOB)) == 5


def test_one_that_was_never_there_is_given_up_at_once(server: Server) -> None:
    server.says("GET", EVENTS, Reply(silent=True))
    server.says("GET", JOB, Reply(silent=True))
    with pytest.raises(ApiUnreachable):
        statuses(server)
    assert len(server.asked) == 2


def test_what_no_patience_mends_is_raised_at_once(server: Server) -> None:
    server.says("GET", EVENTS, problem(404, "job job-1 is not in the ledger", kind="urn:aiprod:job-unknown"))
    with pytest.raises(JobUnknown):
        statuses(server)
    server.says("GET", EVENTS, problem(403, "Forbidden"))
    with pytest.raises(ApiRefused, match="Forbidden"):
        statuses(server)
