"""What waits, and for how long, read off the rows as they stand."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import insert

from aiprod.ledger import notices, outbox, purchases, readings
from aiprod.ledger.schema import sightings
from tests.desk import HOUR, NOW, Desk

MINUTE = timedelta(minutes=1)


def test_a_ledger_has_one_name_for_ever(desk: Desk) -> None:
    with desk.ledger.write() as conn:
        name = readings.ledger_id(conn, now=NOW)
    with desk.ledger.write() as conn:
        assert readings.ledger_id(conn, now=NOW + HOUR) == name
    assert len(name) == 32


def test_what_a_person_can_act_on_waits_since_it_was_parked(desk: Desk) -> None:
    envelope = desk.order()
    for shot in (1, 2):
        desk.bring(desk.hold(envelope, shot=shot).purchase_id, "unknown")
    with desk.ledger.write() as conn:
        for n, purchase in enumerate(purchases.of_job(conn, "job-1", 1)):
            purchases.park(conn, purchase.purchase_id, now=NOW + n * HOUR)
        assert readings.parked_ages(conn, now=NOW + 3 * HOUR) == [3 * 3600, 2 * 3600]


class TestUnwatched:
    @pytest.fixture
    def running(self, desk: Desk) -> Desk:
        desk.bought(desk.order())
        return desk

    def age(self, desk: Desk, after: timedelta) -> float:
        with desk.ledger.read() as conn:
            return readings.unwatched_age(conn, now=NOW + after)

    def seen(self, desk: Desk, vendor_id: str | None, after: timedelta) -> None:
        with desk.ledger.write() as conn:
            conn.execute(insert(sightings).values(backend="runway", vendor_id=vendor_id or "x", seen_at=NOW + after))

    def test_while_nobody_writes_it_down_nothing_is_known(self, running: Desk) -> None:
        assert self.age(running, HOUR) == 0

    def test_a_render_is_alone_since_it_was_last_asked_for(self, running: Desk) -> None:
        (purchase,) = running.rows("purchases")["purchases"]
        self.seen(running, purchase["vendor_id"], 2 * MINUTE)
        assert self.age(running, 5 * MINUTE) == 180

    def test_one_that_was_never_asked_for_is_alone_since_it_was_sent(self, running: Desk) -> None:
        self.seen(running, "of-another", 4 * MINUTE)
        assert self.age(running, 5 * MINUTE) == 300

    def test_what_ended_needs_nobody(self, running: Desk) -> None:
        self.seen(running, "of-another", 4 * MINUTE)
        (purchase,) = running.rows("purchases")["purchases"]
        from aiprod.ledger.states import Step

        running.close(purchase["purchase_id"], Step.SUCCEED, charge=1)
        assert self.age(running, 5 * MINUTE) == 0


def test_events_are_late_only_where_somebody_takes_them(desk: Desk) -> None:
    with desk.ledger.write() as conn:
        outbox.emit(conn, "a", "job_failed", now=NOW)
        assert readings.outbox_lag(conn, now=NOW + HOUR) == 0
        outbox.claim(conn, now=NOW)
        assert readings.outbox_lag(conn, now=NOW + HOUR) == 3600
        outbox.delivered(conn, ["a"], now=NOW)
        assert readings.outbox_lag(conn, now=NOW + HOUR) == 0


def test_an_event_that_one_channel_refuses_is_late_until_it_is_taken_or_given_up(desk: Desk) -> None:
    """It has left the outbox, and others have it: the one who waits for it misses it all the same."""
    with desk.ledger.write() as conn:
        outbox.emit(conn, "a", "job_failed", now=NOW)
        notices.spread(conn, lambda *_: ("shop", "office"), now=NOW)
        for channel in ("shop", "office"):
            claimed = notices.claim(conn, channel, now=NOW)
            assert claimed is not None
            if channel == "office":
                notices.sent(conn, channel, claimed.message, now=NOW)
            else:
                notices.failed(conn, channel, claimed.message, "HTTP 500", now=NOW)
        assert readings.outbox_lag(conn, now=NOW + HOUR) == 3600
        notices.drop(conn, "shop", "the channel is not configured any more")
        assert readings.outbox_lag(conn, now=NOW + HOUR) == 0
