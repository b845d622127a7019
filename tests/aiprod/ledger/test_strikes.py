"""A backend shows its strikes and what went wrong there, in groups, and nothing of a project that is not one's own."""

from __future__ import annotations

from datetime import timedelta

from aiprod.errors import FailureKind
from aiprod.ledger import strikes
from aiprod.ledger.states import Step
from tests.desk import HOUR, NOW, Desk, failure


def fail(desk: Desk, job_id: str, kind: FailureKind, *, when=NOW) -> None:
    desk.close(desk.bought(desk.order(job_id)).purchase_id, Step.FAIL, why=failure(kind), now=when)


def test_failures_are_grouped_by_kind_the_newest_first(desk: Desk) -> None:
    fail(desk, "job-1", FailureKind.VENDOR_INTERNAL)
    fail(desk, "job-2", FailureKind.VENDOR_INTERNAL, when=NOW + timedelta(minutes=1))
    fail(desk, "job-3", FailureKind.MODERATED, when=NOW + timedelta(minutes=2))
    fail(desk, "job-4", FailureKind.TIMEOUT, when=NOW - 2 * HOUR)
    with desk.ledger.read() as conn:
        found = strikes.troubles(conn, since=NOW - HOUR)["runway"]
        standing = strikes.standings(conn)["runway"]
    assert [(t.failure, t.times, t.strike) for t in found] == [("moderated", 1, False), ("vendor_internal", 2, True)]
    assert found[1].last_at == NOW + timedelta(minutes=1) and found[1].message == "the vendor said no"
    assert standing.strikes == 3 and standing.unhealthy_since is not None


def test_a_vendors_words_about_a_hidden_project_are_left_out(desk: Desk) -> None:
    fail(desk, "job-1", FailureKind.VENDOR_INTERNAL)
    with desk.ledger.read() as conn:
        assert strikes.troubles(conn, since=NOW - HOUR, hidden_projects=("default",)) == {}
        assert strikes.troubles(conn, since=NOW - HOUR, hidden_projects=("acme",))["runway"][0].times == 1
