"""The queue keeps the order of urgency and arrival, and gives a job to one run at a time."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from aiprod.ledger import Ledger, gates, jobs, queue
from aiprod.ledger.queue import Waiting
from aiprod.models import Estimate, JobSpec
from tests.desk import NOW, manifest

PRICE = Estimate(tariff="list", lines=(), expected=1, worst_case=3)
MINUTE = timedelta(minutes=1)


def wait(ledger: Ledger, job_id: str, *, priority: str = "normal", due_at: datetime = NOW, since: datetime = NOW) -> None:
    with ledger.write() as conn:
        jobs.enter(conn, job_id, JobSpec.parse({"prompt": "a", "priority": priority}), now=NOW)
        jobs.write_manifest(conn, manifest(job_id), PRICE, ["runway"], by="test", now=NOW)
        queue.put(conn, Waiting(job_id=job_id, version=1, reason="slots", message="m", due_at=due_at, since=since))


def due(ledger: Ledger, *, now: datetime = NOW, limit: int = 50) -> list[str]:
    with ledger.read() as conn:
        return [entry.job_id for entry in queue.due(conn, now=now, limit=limit)]


def test_the_most_urgent_comes_first_and_among_equals_who_came_first(ledger: Ledger) -> None:
    wait(ledger, "late", since=NOW + MINUTE)
    wait(ledger, "low", priority="low", since=NOW - MINUTE)
    wait(ledger, "early")
    wait(ledger, "urgent", priority="high", since=NOW + 2 * MINUTE)
    assert due(ledger) == ["urgent", "early", "late", "low"]
    assert due(ledger, limit=2) == ["urgent", "early"]


def test_nobody_is_served_before_the_time(ledger: Ledger) -> None:
    wait(ledger, "tomorrow", due_at=NOW + MINUTE)
    assert due(ledger) == []
    assert due(ledger, now=NOW + MINUTE) == ["tomorrow"]


def test_waiting_for_something_else_keeps_the_place(ledger: Ledger) -> None:
    wait(ledger, "first")
    wait(ledger, "second", since=NOW + MINUTE)
    again = Waiting(job_id="first", version=1, reason="money", message="new", due_at=NOW, since=NOW + 5 * MINUTE)
    with ledger.write() as conn:
        queue.put(conn, again)
    assert due(ledger) == ["first", "second"]
    with ledger.read() as conn:
        assert queue.waiting(conn, ["first", "absent"]) == {"first": again.model_copy(update={"since": NOW})}


def test_a_job_is_not_given_to_a_second_run_while_the_first_carries_it(ledger: Ledger) -> None:
    wait(ledger, "carried")
    with ledger.write() as conn:
        jobs.attach_run(conn, "run-1", "carried", 1, now=NOW)
    assert due(ledger) == []
    assert due(ledger, now=NOW + timedelta(hours=7)) == ["carried"], "a run that never ended must not keep it for ever"
    with ledger.write() as conn:
        jobs.settle_run(conn, "run-1", now=NOW)
    assert due(ledger) == ["carried"]


def test_a_run_that_was_asked_for_is_not_asked_for_again_at_once(ledger: Ledger) -> None:
    wait(ledger, "asked")
    with ledger.write() as conn:
        queue.postpone(conn, ["asked"], NOW + 15 * MINUTE)
    assert due(ledger, now=NOW + 14 * MINUTE) == []
    assert due(ledger, now=NOW + 15 * MINUTE) == ["asked"]


@pytest.mark.parametrize("end", ["taken", "cancelled"])
def test_who_waits_no_more_is_not_served(ledger: Ledger, end: str) -> None:
    wait(ledger, "gone")
    with ledger.write() as conn:
        if end == "taken":
            queue.take(conn, "gone", now=NOW)
        else:
            gates.cancel_job(conn, "gone", by="somebody", now=NOW)
    assert due(ledger) == []
