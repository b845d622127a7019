"""A job's duration counts from its approval, and not what people and money were waited for."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import pytest
from sqlalchemy import insert

from aiprod.ledger import approvals, durations, queue
from aiprod.ledger.queue import Waiting
from aiprod.ledger.schema import cuts
from tests.desk import HOUR, NOW, Desk

MINUTE = timedelta(minutes=1)


@pytest.fixture
def ledger_url(sqlite_url: str) -> str:
    """On SQLite only: plain selects."""
    return sqlite_url


def seconds(desk: Desk, after: timedelta) -> float | None:
    with desk.ledger.read() as conn:
        return durations.pipeline_seconds(conn, "job-1", 1, now=NOW + after)


def waited(desk: Desk, reason: Literal["campaign", "slots", "money"], since: timedelta, until: timedelta) -> None:
    with desk.ledger.write() as conn:
        queue.put(conn, Waiting(job_id="job-1", version=1, reason=reason, message="m", due_at=NOW + since, since=NOW + since))
        queue.take(conn, "job-1", now=NOW + until)


def test_nobody_approved_it(desk: Desk) -> None:
    assert seconds(desk, HOUR) is None


def test_it_counts_from_the_approval(desk: Desk) -> None:
    desk.order()
    assert seconds(desk, 10 * MINUTE) == 600


@pytest.mark.parametrize(("reason", "counted"), [("money", 600), ("campaign", 600), ("slots", 900)])
def test_waiting_for_money_or_for_the_campaigns_turn_is_nobodys_slowness(
    desk: Desk, reason: Literal["campaign", "slots", "money"], counted: float
) -> None:
    desk.order()
    waited(desk, reason, 2 * MINUTE, 7 * MINUTE)
    assert seconds(desk, 15 * MINUTE) == counted


def test_what_was_waited_before_the_approval_is_not_taken_off_twice(desk: Desk) -> None:
    desk.order()
    waited(desk, "money", -5 * MINUTE, 5 * MINUTE)
    assert seconds(desk, 15 * MINUTE) == 600


def test_a_person_who_looks_at_the_video_takes_their_time(desk: Desk) -> None:
    desk.order()
    with desk.ledger.write() as conn:
        row = {"job_id": "job-1", "version": 1, "takes": "[]", "files": "{}", "made_at": NOW + 5 * MINUTE}
        conn.execute(insert(cuts).values(**row))
        approvals.review(conn, "job-1", 1, "sha", "accepted", by="ada", now=NOW + HOUR)
    assert seconds(desk, HOUR + MINUTE) == 360
