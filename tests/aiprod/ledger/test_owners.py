"""A job is its project's, and its orderer's orders are counted."""

from __future__ import annotations

from datetime import timedelta

from aiprod.ledger import Ledger, jobs, owners
from aiprod.models import JobSpec
from tests.desk import NOW

SPEC = JobSpec(prompt="a lighthouse", project="acme")
LATER = NOW + timedelta(hours=1)


def test_a_project_is_read_without_the_order_and_none_is_made_up(ledger: Ledger) -> None:
    with ledger.write() as conn:
        jobs.enter(conn, "job-1", SPEC, now=NOW)
        assert (owners.project_of(conn, "job-1"), owners.project_of(conn, "nobody")) == ("acme", None)


def test_jobs_of_one_person_are_counted_from_a_time_on(ledger: Ledger) -> None:
    with ledger.write() as conn:
        for n, (by, at) in enumerate([("alice", NOW), ("alice", LATER), ("bob", LATER), (None, LATER)]):
            jobs.enter(conn, f"job-{n}", SPEC, now=at, by=by)

    with ledger.read() as conn:
        assert owners.entered_since(conn, "alice", NOW) == 2
        assert owners.entered_since(conn, "alice", LATER) == owners.entered_since(conn, "bob", NOW) == 1
        assert owners.entered_since(conn, "carol", NOW) == 0
