"""Takes that are used again are found by their shot, with what each saved."""

from __future__ import annotations

import pytest
from sqlalchemy import insert

from aiprod.ledger import results, reuses
from aiprod.ledger.schema import reuses as table
from aiprod.ledger.states import Step
from aiprod.models import Take
from tests.desk import NOW, Desk


@pytest.fixture
def ledger_url(sqlite_url: str) -> str:
    """On SQLite only: plain selects."""
    return sqlite_url


def test_only_those_of_the_version_are_told(desk: Desk) -> None:
    key = desk.bought(desk.order()).purchase_id
    desk.close(key, Step.SUCCEED, charge=5)
    desk.order(version=2)
    take = Take(take_id=key, job_id="job-1", version=1, shot=1, backend="runway", path="p", sha256="s", size=1)
    with desk.ledger.write() as conn:
        results.keep(conn, take, now=NOW)
        conn.execute(insert(table).values(job_id="job-1", version=2, shot=3, take_id=key, saved=7))
        assert reuses.of_job(conn, "job-1", 2) == {3: 7}
        assert reuses.of_job(conn, "job-1", 1) == {}
