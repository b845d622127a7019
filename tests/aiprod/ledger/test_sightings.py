"""A render's progress is written down now and then, by whoever asks."""

from __future__ import annotations

from datetime import datetime, timedelta

from aiprod.ledger import sightings
from aiprod.models import JobState
from tests.desk import NOW, Desk


def see(desk: Desk, progress: float | None, at: datetime) -> float | None:
    with desk.ledger.write() as conn:
        sightings.see(conn, "runway", [("v-1", JobState(state="running", progress=progress))], now=at)
        return sightings.of_job(conn, "job-1")["runway", "v-1"].progress


def test_what_was_written_a_moment_ago_stays_and_is_followed_by_what_comes_later(desk: Desk) -> None:
    held = desk.hold(desk.order())
    desk.claim(held.purchase_id)
    desk.accept(held.purchase_id, "v-1")
    assert see(desk, 0.1, NOW) == 0.1
    assert see(desk, 0.2, NOW + timedelta(seconds=4)) == 0.1
    assert see(desk, 0.3, NOW + timedelta(seconds=5)) == 0.3
    assert see(desk, None, NOW + timedelta(seconds=60)) is None


def test_progress_is_a_part_of_one_whatever_a_vendor_says(desk: Desk) -> None:
    held = desk.hold(desk.order())
    desk.claim(held.purchase_id)
    desk.accept(held.purchase_id, "v-1")
    assert see(desk, 40.0, NOW) == 1.0
