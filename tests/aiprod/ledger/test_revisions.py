"""Whoever asks whether a job changed is told at once, on both databases. What is shown is compared in `test_viewing`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Connection

from aiprod.ledger import approvals, gates, jobs, queue, sightings
from aiprod.ledger.queue import Waiting
from aiprod.ledger.revisions import revisions
from aiprod.models import JobState
from tests.desk import NOW, Desk

LATER = NOW + timedelta(seconds=1)
WAITS = Waiting(job_id="job-1", version=1, reason="slots", message="no room", due_at=NOW, since=NOW)
RUNNING = [("v-1", JobState(state="running", progress=0.5))]


def mark(desk: Desk, job_id: str = "job-1") -> str | None:
    with desk.ledger.read() as conn:
        return revisions(conn, [job_id, "ghost"]).get(job_id)


@pytest.mark.parametrize(
    "change",
    [
        lambda conn: jobs.attach_run(conn, "run-2", "job-1", 1, now=LATER),
        lambda conn: jobs.settle_run(conn, "run-1", now=LATER),
        lambda conn: approvals.show(conn, "run-1", "approve", "job-1", 1, now=LATER),
        lambda conn: gates.cancel_job(conn, "job-1", by="eve", now=LATER),
        lambda conn: jobs.remark(conn, "job-1", 1, "route", "no", now=LATER),
        lambda conn: queue.put(conn, WAITS),
        lambda conn: sightings.see(conn, "runway", RUNNING, now=LATER),
    ],
    ids=["carried", "settled", "asked", "cancelled", "failed", "waits", "seen"],
)
def test_a_change_makes_another_mark(desk: Desk, change: Callable[[Connection], object]) -> None:
    held = desk.hold(desk.order())
    desk.claim(held.purchase_id)
    desk.accept(held.purchase_id, "v-1")
    with desk.ledger.write() as conn:
        jobs.attach_run(conn, "run-1", "job-1", 1, now=NOW)
    before = mark(desk)
    assert mark(desk) == before
    with desk.ledger.write() as conn:
        change(conn)
    assert mark(desk) != before


def test_a_purchase_makes_another_mark_at_each_step(desk: Desk) -> None:
    envelope = desk.order()
    marks = [mark(desk)]
    held = desk.hold(envelope, now=NOW)
    for step in (
        lambda: None,
        lambda: desk.claim(held.purchase_id, now=LATER),
        lambda: desk.accept(held.purchase_id, now=LATER + timedelta(seconds=1)),
        lambda: desk.adjust(held.purchase_id, 5, "late"),
    ):
        step()
        marks.append(mark(desk))
    assert len(set(marks)) == len(marks)


def test_other_jobs_do_not_change_it_and_unknown_ones_have_none(desk: Desk) -> None:
    desk.order()
    before = mark(desk)
    desk.hold(desk.order("job-2"))
    assert mark(desk) == before
    assert mark(desk, "ghost") is None
