"""The doors that stop money: kill switch, cancelled job, approval that ran out. Read at the hold and again at the claim."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aiprod.errors import PurchasingStopped
from aiprod.ledger import gates
from aiprod.ledger.states import Step
from aiprod.models import USD
from tests.desk import HOUR, NOW, rows


def stop(desk):
    with desk.ledger.write() as conn:
        gates.stop_purchasing(conn, "an audit", by="ann", now=NOW)


def reopen(desk, now=NOW):
    with desk.ledger.write() as conn:
        gates.open_purchasing(conn, by="ann", now=now)


def cancel(desk, job_id="job-1"):
    with desk.ledger.write() as conn:
        return gates.cancel_job(conn, job_id, by="bob", now=NOW)


@pytest.mark.parametrize(("shut", "why"), [(stop, "purchasing is stopped: an audit"), (cancel, "job-1 was cancelled by bob")])
class TestDoors:
    def test_a_shut_door_stops_a_hold(self, desk, shut, why):
        envelope = desk.order()
        shut(desk)
        with pytest.raises(PurchasingStopped, match=why):
            desk.hold(envelope)
        assert rows(desk.ledger, "purchases", "caps") == {"purchases": [], "caps": []}

    def test_a_shut_door_stops_a_request_that_was_held_before(self, desk, shut, why):
        key = desk.hold(desk.order()).purchase_id
        shut(desk)
        with pytest.raises(PurchasingStopped, match=why):
            desk.claim(key)
        assert desk.get(key).state == "held"

    def test_a_shut_door_never_stops_booking_what_was_sent(self, desk, shut, why):
        key = desk.hold(desk.order()).purchase_id
        desk.claim(key)
        shut(desk)
        assert desk.accept(key)
        assert desk.close(key, Step.SUCCEED, charge=7 * USD)

    def test_a_shut_door_does_not_hide_a_hold_that_stands(self, desk, shut, why):
        envelope = desk.order()
        first = desk.hold(envelope)
        shut(desk)
        assert desk.hold(envelope) == first

    def test_a_hold_can_be_given_back_behind_a_shut_door(self, desk, shut, why):
        key = desk.hold(desk.order()).purchase_id
        shut(desk)
        assert desk.release(key, Step.VOID)


class TestApprovalThatRanOut:
    def test_it_allows_until_the_last_microsecond_and_not_at_it(self, desk):
        envelope = desk.order(expires_at=NOW + HOUR)
        desk.hold(envelope, now=NOW + HOUR - timedelta(microseconds=1))
        with pytest.raises(PurchasingStopped, match="ran out at 2026-11-23 13:00 UTC"):
            desk.hold(envelope, shot=2, now=NOW + HOUR)

    def test_it_stops_the_request_too(self, desk):
        envelope = desk.order(expires_at=NOW + HOUR)
        key = desk.hold(envelope).purchase_id
        with pytest.raises(PurchasingStopped):
            desk.claim(key, now=NOW + HOUR)


class TestSwitch:
    def test_it_tells_once_that_it_stopped_and_once_that_it_opened(self, desk):
        stop(desk), stop(desk), reopen(desk), reopen(desk)
        assert desk.topics() == ["purchasing_stopped", "purchasing_opened"]

    def test_after_opening_holds_are_taken_again(self, desk):
        envelope = desk.order()
        stop(desk)
        reopen(desk)
        assert desk.hold(envelope).state == "held"

    def test_the_first_reason_stands(self, desk):
        stop(desk)
        with desk.ledger.write() as conn:
            gates.stop_purchasing(conn, "another reason", by="eve", now=NOW)
            assert gates.stopped(conn) == "an audit"
            assert gates.switch(conn) == gates.Stopped(why="an audit", by="ann", since=NOW)

    def test_who_pulls_or_resets_it_learns_whether_that_changed_anything(self, desk):
        with desk.ledger.write() as conn:
            assert [gates.stop_purchasing(conn, "an audit", by="ann", now=NOW) for _ in range(2)] == [True, False]
            assert [gates.open_purchasing(conn, by="ann", now=NOW) for _ in range(2)] == [True, False]
            assert gates.switch(conn) is None


class TestCancel:
    def test_only_the_first_cancellation_counts(self, desk):
        desk.order()
        assert [cancel(desk), cancel(desk)] == [True, False]
        assert desk.topics() == ["job_cancelled"]

    def test_it_stops_that_job_only(self, desk):
        desk.order()
        other = desk.order("job-2")
        cancel(desk)
        assert desk.hold(other).state == "held"

    def test_a_job_nobody_knows_is_not_cancelled(self, desk):
        assert cancel(desk, "ghost") is False
