"""A judge that cannot find anything proves nothing: one of each is planted, and named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.safety.judge import Caps, judge

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
CAPS = Caps(
    zone="UTC",
    day=1_000,
    job={"j": 500, "other": 900},
    project={"acme": 800},
    backend_day={"runway": 700},
    projects={"j": "acme"},
)


def micros(moment):
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


class Books:
    """An orderly ledger and the vendor's books that go with it, to be disordered by a test."""

    def __init__(self):
        self.accepts = []
        self.rows = {name: [] for name in ("caps", "purchases", "legs", "postings", "takes", "qa_reports", "approvals", "jobs")}
        for job in CAPS.job:
            self.rows["approvals"].append({"job_id": job, "version": 1, "sequence": 1, "amount": 2_000})

    def bought(
        self, key="k", *, state="succeeded", hold=100, charged=100, job="j", shot="1", backend="runway", at=NOON, accepted=True
    ):
        sent = state in ("submitted", "succeeded", "failed")
        purchase = {
            "purchase_id": key, "job_id": job, "version": 1, "subject": shot, "envelope": 1, "backend": backend, "hold": hold,
            "charged": charged if state in ("succeeded", "failed") else None, "state": state, "parked_at": None,
            "vendor_id": f"v-{key}" if sent else None, "created_at": micros(at),
        }  # fmt: skip
        self.rows["purchases"].append(purchase)
        self._post(key, "hold", hold, 0)
        if state not in ("held", "submitting", "submitted", "unknown"):
            self._post(key, "close", -hold, charged)
        if state == "succeeded":
            self.rows["takes"].append({"take_id": key})
        if accepted:
            self.accept(key, price=hold, billed=charged)
        return purchase

    def accept(self, key, *, price=100, billed=100, id=None):
        self.accepts.append({"key": key, "id": id or f"v-{key}", "price_micros": price, "billable_micros": billed})

    def judged(self, key, at):
        self.rows["qa_reports"].append({"take_id": key, "verdict": "accepted", "judged_at": micros(at)})

    def _post(self, key, kind, d_reserved, d_settled):
        number = len(self.rows["postings"]) + 1
        self.rows["postings"].append(
            {"posting_id": number, "purchase_id": key, "kind": kind, "d_reserved": d_reserved, "d_settled": d_settled}
        )

    def found(self):
        return [f.kind for f in judge(self.accepts, self.rows, CAPS)]


@pytest.fixture
def books():
    return Books()


def test_books_in_order_are_found_in_order(books):
    books.bought("a")
    books.bought("b", shot="2", state="failed", charged=0)
    books.bought("c", shot="3", state="rejected", charged=0, accepted=False)
    books.bought("d", shot="4", state="unknown")["parked_at"] = micros(NOON)
    assert books.found() == []


class TestOverspend:
    @pytest.mark.parametrize(("hold", "found"), [(500, []), (501, ["overspend"])])
    def test_a_hold_may_reach_a_cap_and_not_cross_it(self, books, hold, found):
        books.bought("a", hold=hold, charged=hold)
        assert books.found() == found

    def test_every_cap_counts_though_the_ledger_has_no_leg_on_it(self, books):
        """Ten jobs' worth of money on one day: the rows say nothing of a cap at all."""
        books.bought("a", hold=400, charged=400)
        books.bought("b", job="other", hold=601, charged=601, backend="veo3")
        assert books.found() == ["overspend"]

    def test_another_day_is_another_cap(self, books):
        books.bought("a", hold=400, charged=400)
        books.bought("b", job="other", hold=601, charged=601, backend="veo3", at=NOON + timedelta(days=1))
        assert books.found() == []

    def test_money_given_back_may_be_held_again(self, books):
        books.bought("a", hold=500, charged=0, state="failed")
        books.bought("b", hold=500, charged=500)
        assert books.found() == []

    def test_a_bill_may_cross_a_cap_and_a_hold_after_it_may_not(self, books):
        books.bought("a", hold=400, charged=520)
        books.accepts[0]["price_micros"] = 400
        assert books.found() == []
        books.bought("b", shot="2", hold=10, charged=10)
        assert books.found() == ["overspend"]

    def test_a_hold_without_an_envelope_is_over_it(self, books):
        books.bought("a")["envelope"] = 2
        assert "overspend" in books.found()

    def test_a_price_above_its_hold_is_overspent(self, books):
        books.bought("a", hold=90, charged=100)
        books.accepts[0]["price_micros"] = 100
        assert books.found() == ["overspend"]

    def test_a_bill_that_was_booked_too_low_is_overspent(self, books):
        books.bought("a", charged=100)
        books.accepts[0]["billable_micros"] = 130
        assert books.found() == ["overspend"]


class TestDuplicates:
    def test_two_accepts_of_one_purchase_are_a_double_charge(self, books):
        books.bought("a")
        books.accept("a", id="v-second", billed=0)
        assert books.found() == ["duplicate"]

    def test_a_shot_that_has_its_take_is_not_bought_again(self, books):
        books.bought("a")
        books.judged("a", NOON)
        books.bought("b", at=NOON + timedelta(seconds=1))
        assert books.found() == ["duplicate"]

    def test_a_shot_bought_elsewhere_before_its_take_came_is_no_duplicate(self, books):
        books.bought("a", state="unknown")["parked_at"] = micros(NOON)
        books.bought("b", at=NOON + timedelta(seconds=1))
        books.judged("b", NOON + timedelta(seconds=2))
        assert books.found() == []


class TestLost:
    def test_an_accept_that_no_row_explains_is_lost(self, books):
        books.accept("nobody")
        assert books.found() == ["lost"]

    @pytest.mark.parametrize("state", ["absent", "rejected", "expired", "voided", "held"])
    def test_an_accept_whose_money_was_given_back_or_never_sent_is_lost(self, books, state):
        books.bought("a", state=state, charged=0)
        assert "lost" in books.found()

    def test_a_paid_clip_without_a_file_is_lost(self, books):
        books.bought("a")
        books.rows["takes"].clear()
        assert books.found() == ["lost"]

    def test_another_render_than_the_one_paid_is_lost(self, books):
        books.bought("a")["vendor_id"] = "v-other"
        assert books.found() == ["lost"]

    def test_a_render_that_no_vendor_knows_is_found(self, books):
        books.bought("a", accepted=False)
        assert books.found() == ["lost"]


class TestHolds:
    @pytest.mark.parametrize("state", ["held", "submitting", "submitted", "unknown"])
    def test_what_is_still_held_and_not_parked_is_unexplained(self, books, state):
        books.bought("a", state=state, accepted=state in ("submitted", "unknown", "submitting"))
        assert books.found() == ["unexplained hold"]

    @pytest.mark.parametrize("state", ["held", "submitting"])
    def test_only_what_was_lost_or_never_ended_can_be_parked(self, books, state):
        books.bought("a", state=state, accepted=state == "submitting")["parked_at"] = micros(NOON)
        assert books.found() == ["unexplained hold"]
