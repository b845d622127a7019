"""What other jobs of a project have is found by the seed that was ordered, and only while it may be used."""

from __future__ import annotations

import pytest

from aiprod.ledger import results, reuses
from aiprod.ledger.reuses import Elsewhere
from aiprod.ledger.states import State
from aiprod.models import QAReport, Take, Verdict
from tests.desk import NOW, Desk, request


def bought(desk: Desk, state: State, *, seed: int | None = 7, job_id: str = "job-1") -> str:
    """A render of a job in some state, kept and accepted where it has succeeded."""
    envelope = desk.order(job_id)
    new = desk.new_hold(envelope)
    asked = request(1).model_copy(update={"seed": seed or 1, "seed_ordered": seed is not None})
    (held,) = desk.hold_all(type(new)(**{**vars(new), "request": asked}))
    assert not isinstance(held, Exception) and held is not None
    key = desk.bring(held.purchase_id, state).purchase_id
    if state == "succeeded":
        take = Take(take_id=key, job_id=job_id, version=1, shot=1, backend="runway", path="p", sha256="s", size=1)
        with desk.ledger.write() as conn:
            results.keep(conn, take, now=NOW)
            results.judge(conn, QAReport(take_id=key, technical=1.0), Verdict.ACCEPTED, now=NOW)
    return key


def accepted(desk: Desk, *seeds: int, project: str = "default", not_of: str = "job-2") -> list[Elsewhere]:
    with desk.ledger.read() as conn:
        return reuses.accepted(conn, project, seeds, not_of=not_of)


def test_an_accepted_take_is_found_by_its_seed_with_what_was_asked_for_it(desk: Desk) -> None:
    key = bought(desk, "succeeded")
    (found,) = accepted(desk, 7, 8)
    assert (found.purchase_id, found.job_id, found.request.seed) == (key, "job-1", 7)
    assert found.take is not None and found.take.take_id == key
    assert accepted(desk, 8) == accepted(desk, 7, project="acme") == accepted(desk, 7, not_of="job-1") == []


def test_a_seed_that_nobody_ordered_finds_nothing(desk: Desk) -> None:
    bought(desk, "succeeded", seed=None)
    assert accepted(desk, 1) == []


def test_a_seed_is_a_number_and_not_the_beginning_of_one(desk: Desk) -> None:
    bought(desk, "succeeded", seed=77)
    assert accepted(desk, 7) == []


@pytest.mark.parametrize("state", ["held", "submitting", "submitted", "unknown", "failed", "succeeded"])
def test_what_is_on_its_way_is_live(desk: Desk, state: State) -> None:
    bought(desk, state)
    with desk.ledger.read() as conn:
        found = reuses.in_flight(conn, "default", [7], not_of="job-2")
    assert [one.job_id for one in found] == (["job-1"] if state in ("held", "submitting", "submitted", "unknown") else [])


def test_an_erased_job_has_nothing_for_anybody(desk: Desk) -> None:
    bought(desk, "succeeded")
    with desk.ledger.write() as conn:
        assert reuses.still_there(conn, "job-1")
        conn.exec_driver_sql(
            "INSERT INTO erasures (job_id, erased_at, erased_by, why, files, size) VALUES ('job-1', 1, 'a', 'b', 0, 0)"
        )
        assert not reuses.still_there(conn, "job-1")
    assert accepted(desk, 7) == []
