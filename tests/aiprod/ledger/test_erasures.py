"""What keeps a job from being erased, when its time is over, and what is left of its rows."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from aiprod.errors import JobFailed, PurchasingStopped
from aiprod.ledger import Ledger, erasures, gates, jobs, outbox, purchases, queue
from aiprod.ledger.queue import Waiting
from aiprod.ledger.states import State
from aiprod.models import JobSpec
from tests.desk import NOW, WAY, Desk

DAY = timedelta(days=1)


def enter(ledger: Ledger, job_id: str, *, at: datetime = NOW, project: str = "default", run: bool = True) -> None:
    with ledger.write() as conn:
        jobs.enter(conn, job_id, JobSpec(prompt="a canary", project=project), now=at)
        if run:
            jobs.attach_run(conn, f"run-of-{job_id}", job_id, 1, now=at)
            jobs.settle_run(conn, f"run-of-{job_id}", now=at)


def due(
    ledger: Ledger, before: datetime | None, *, now: datetime = NOW, limit: int = 10, **projects: datetime | None
) -> list[str]:
    with ledger.read() as conn:
        return erasures.due(conn, before=before, projects=projects, now=now, limit=limit)


def blocked(ledger: Ledger, job_id: str = "job-1", now: datetime = NOW) -> str:
    with ledger.read() as conn:
        return erasures.in_the_way(conn, job_id, now=now) or ""


@pytest.mark.parametrize("state", WAY)
def test_a_job_with_money_on_the_table_is_not_erased_and_one_without_is(desk: Desk, state: State) -> None:
    desk.bring(desk.hold(desk.order()).purchase_id, state)
    why = blocked(desk.ledger)
    if state == "succeeded":
        assert "paid and has not come home" in why
    else:
        assert ("money is held" in why) == (state in ("held", "submitting", "submitted", "unknown"))
    if why:
        with pytest.raises(JobFailed, match="can not be erased"), desk.ledger.write() as conn:
            erasures.record(conn, "job-1", by="a", why="b", files=0, size=0, now=NOW)
    assert due(desk.ledger, NOW + DAY) == ([] if why else ["job-1"])


def test_a_parked_purchase_is_a_persons_before_it_is_anybodys(desk: Desk) -> None:
    key = desk.hold(desk.order()).purchase_id
    desk.bring(key, "unknown")
    with desk.ledger.write() as conn:
        purchases.park(conn, key, now=NOW)
    assert "waits for a person" in blocked(desk.ledger)


def test_a_run_that_is_not_over_keeps_its_job_for_a_month_at_most(ledger: Ledger) -> None:
    enter(ledger, "job-1")
    with ledger.write() as conn:
        jobs.attach_run(conn, "run-2", "job-1", 1, now=NOW)
    assert "a run of it is not over" in blocked(ledger)
    assert blocked(ledger, now=NOW + erasures.ABANDONED) == ""


def test_a_job_that_waits_for_a_run_is_cancelled_before_it_is_erased(ledger: Ledger) -> None:
    enter(ledger, "job-1", run=False)
    with ledger.write() as conn:
        queue.put(conn, Waiting(job_id="job-1", version=1, reason="money", message="m", due_at=NOW, since=NOW))
    assert "cancel it first" in blocked(ledger)
    with ledger.write() as conn:
        gates.cancel_job(conn, "job-1", by="somebody", now=NOW)
    assert blocked(ledger) == ""


def test_a_job_nobody_entered_is_named(ledger: Ledger) -> None:
    assert blocked(ledger, "nobody") == "job nobody is not in the ledger"


def test_of_an_erased_job_nothing_is_held_or_sent_any_more(desk: Desk) -> None:
    envelope = desk.order()
    with desk.ledger.write() as conn:
        erasures.record(conn, "job-1", by="ann", why="asked", files=1, size=2, now=NOW)
    with pytest.raises(PurchasingStopped, match=r"cancelled by ann \(erased\)"):
        desk.hold(envelope)


def test_the_first_who_erased_it_stands(ledger: Ledger) -> None:
    enter(ledger, "job-1")
    with ledger.write() as conn:
        erasures.record(conn, "job-1", by="ann", why="asked", files=1, size=2, now=NOW)
        again = erasures.record(conn, "job-1", by="bob", why="too", files=0, size=0, now=NOW + DAY)
        assert (again.erased_by, again.why, again.files, again.size, again.finished_at) == ("ann", "asked", 1, 2, None)
        assert erasures.unfinished(conn, limit=5) == ["job-1"]
        erasures.finish(conn, "job-1", now=NOW + DAY)
        erasures.finish(conn, "job-1", now=NOW + 2 * DAY)
        assert (erasures.of_job(conn, "job-1") or again).finished_at == NOW + DAY
        assert erasures.unfinished(conn, limit=5) == []


def test_an_event_of_the_job_keeps_its_ids_and_sums_and_a_neighbours_keeps_all(ledger: Ledger) -> None:
    enter(ledger, "job-1")
    enter(ledger, "job-10")
    with ledger.write() as conn:
        outbox.emit(conn, "job-1.v1.x", "job_failed", now=NOW, job_id="job-1", amount_micros=5, why="canary", lines=["canary"])
        outbox.emit(conn, "job-10.v1.x", "job_failed", now=NOW, job_id="job-10", why="canary")
        erasures.record(conn, "job-1", by="ann", why="asked", files=0, size=0, now=NOW)
        mine, other = (event.payload for event in outbox.claim(conn, now=NOW))
    assert mine == {"job_id": "job-1", "amount_micros": 5, "why": erasures.MARK, "lines": [erasures.MARK]}
    assert other == {"job_id": "job-10", "why": "canary"}


class TestDue:
    def test_a_jobs_time_counts_from_the_end_of_its_last_run(self, ledger: Ledger) -> None:
        enter(ledger, "old", at=NOW - 10 * DAY)
        enter(ledger, "run-again", at=NOW - 10 * DAY)
        enter(ledger, "never-run", at=NOW - 9 * DAY, run=False)
        with ledger.write() as conn:
            jobs.attach_run(conn, "run-2", "run-again", 1, now=NOW - DAY)
            jobs.settle_run(conn, "run-2", now=NOW - DAY)
        assert due(ledger, NOW - 2 * DAY) == ["old", "never-run"]
        assert due(ledger, NOW) == ["old", "run-again", "never-run"]
        assert due(ledger, NOW, limit=1) == ["old"]

    def test_a_project_may_have_a_time_of_its_own_or_keep_everything(self, ledger: Ledger) -> None:
        for project in ("acme", "vault", "other"):
            enter(ledger, project, at=NOW - 10 * DAY, project=project)
        assert due(ledger, None) == []
        assert due(ledger, None, acme=NOW - DAY) == ["acme"]
        assert due(ledger, NOW - DAY, vault=None) == ["acme", "other"]
        assert due(ledger, NOW - DAY, acme=NOW - 20 * DAY) == ["other", "vault"]

    def test_what_is_erased_is_due_no_more(self, ledger: Ledger) -> None:
        enter(ledger, "job-1", at=NOW - 10 * DAY)
        with ledger.write() as conn:
            erasures.record(conn, "job-1", by="ann", why="asked", files=0, size=0, now=NOW)
        assert due(ledger, NOW) == []
