"""What a person says about a parked purchase is done once, booked once, and written down with a name and a reason."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from aiprod.errors import SpecError, StaleState
from aiprod.ledger import parked, purchases
from aiprod.ledger.states import Step
from aiprod.models import USD
from tests.desk import HOUR, NOW, errors, race

SAID = {"by": "Ada", "why": "seen on the vendor's page", "now": NOW + HOUR}
EVERYTHING = ("purchases", "caps", "postings", "resolutions", "outbox")


@pytest.fixture
def envelope(desk):
    return desk.order()


@pytest.fixture
def lost(desk, envelope):
    """A purchase whose answer was lost, parked with its hold."""
    return park(desk, desk.bring(desk.hold(envelope).purchase_id, "unknown").purchase_id)


@pytest.fixture
def endless(desk, envelope):
    """A render that the vendor has and never ends, parked."""
    return park(desk, desk.bought(envelope).purchase_id)


@pytest.fixture
def paid(desk, envelope):
    """A paid render whose file did not come home."""
    key = desk.bought(envelope).purchase_id
    desk.close(key, Step.SUCCEED, charge=7 * USD)
    return key


def park(desk, key):
    with desk.ledger.write() as conn:
        purchases.park(conn, key, now=NOW)
    return key


def waiting(desk, now=NOW + HOUR):
    with desk.ledger.read() as conn:
        return [p.purchase_id for p in parked.waiting(conn, now=now)]


def said(desk, key):
    with desk.ledger.read() as conn:
        return [(r.answer, r.vendor_id, r.resolved_by, r.why) for r in parked.resolutions_of(conn, key)]


def ran(desk, key, vendor_id="v-1"):
    with desk.ledger.write() as conn:
        return parked.ran(conn, key, vendor_id, **SAID)


def did_not_run(desk, key):
    with desk.ledger.write() as conn:
        return parked.did_not_run(conn, key, catalog=desk.catalog, **SAID)


def write_off(desk, key, charge=None):
    with desk.ledger.write() as conn:
        return parked.write_off(conn, key, charge=charge, catalog=desk.catalog, **SAID)


def file_gone(desk, key):
    with desk.ledger.write() as conn:
        return parked.file_gone(conn, key, **SAID)


ANSWERS = [ran, did_not_run, write_off, file_gone]


class TestWaiting:
    def test_the_parked_wait_and_nothing_else_does(self, desk, envelope, lost):
        desk.bring(desk.hold(envelope, shot=2).purchase_id, "unknown")
        desk.bought(envelope, shot=3)
        assert waiting(desk) == [lost]

    def test_a_paid_file_that_does_not_come_home_waits_after_an_hour(self, desk, paid):
        assert waiting(desk, NOW + HOUR) == []
        assert waiting(desk, NOW + HOUR + timedelta(seconds=1)) == [paid]

    def test_a_beginning_of_the_id_names_it(self, desk, lost):
        with desk.ledger.read() as conn:
            assert parked.find(conn, lost[:8].upper(), now=NOW).purchase_id == lost

    @pytest.mark.parametrize("prefix", ["", " ", "no-such", "%", "_"])
    def test_a_beginning_that_names_nothing_is_refused(self, desk, lost, prefix):
        with desk.ledger.read() as conn, pytest.raises(StaleState, match="aiprod parked"):
            parked.find(conn, prefix, now=NOW)

    def test_a_beginning_that_names_two_is_refused(self, desk, envelope, lost):
        with desk.in_one_transaction():
            ids = [desk.hold(envelope, shot=shot).purchase_id for shot in range(2, 20)]
        # Eighteen ids and sixteen digits: some begin alike.
        digit = next(d for d, n in Counter(i[0] for i in ids if i[0] != lost[0]).most_common(1) if n > 1)
        with desk.ledger.read() as conn, pytest.raises(StaleState, match="more than one"):
            parked.find(conn, digit, now=NOW)


class TestRan:
    def test_it_is_submitted_with_the_vendors_id_and_watched_again(self, desk, lost):
        after = ran(desk, lost)
        assert (after.state, after.vendor_id, after.parked_at, after.charged) == ("submitted", "v-1", None, None)
        with desk.ledger.read() as conn:
            assert [p.purchase_id for p in purchases.due(conn, now=NOW)] == [lost]
        assert said(desk, lost) == [("ran", "v-1", "Ada", "seen on the vendor's page")]
        assert "purchase_resolved" in desk.topics()

    def test_bought_elsewhere_meanwhile_it_stays_parked_and_is_watched(self, desk, envelope, lost):
        desk.hold(envelope, sequence=2)
        after = ran(desk, lost)
        assert (after.state, after.parked_at) == ("submitted", NOW)
        with desk.ledger.read() as conn:
            assert lost in [p.purchase_id for p in purchases.due(conn, now=NOW)]

    def test_the_id_of_another_purchase_is_refused(self, desk, envelope, lost):
        other = desk.bring(desk.hold(envelope, shot=2).purchase_id, "submitted")
        with pytest.raises(StaleState, match="belongs to another purchase"):
            ran(desk, lost, other.vendor_id)
        assert said(desk, lost) == []

    @pytest.mark.parametrize("vendor_id", ["", " ", "two words", "a\nb", "x" * 301, "\x1b[2J"])
    def test_what_is_no_id_is_refused(self, desk, lost, vendor_id):
        with pytest.raises(SpecError, match="vendor-id"):
            ran(desk, lost, vendor_id)
        assert desk.get(lost).state == "unknown"

    def test_a_slip_of_the_pen_is_corrected_while_it_is_parked_again(self, desk, lost):
        ran(desk, lost, "v-wrong")
        park(desk, lost)
        assert ran(desk, lost, "v-right").vendor_id == "v-right"
        assert [row[1] for row in said(desk, lost)] == ["v-wrong", "v-right"]

    def test_what_the_vendor_itself_said_is_not_corrected(self, desk, endless):
        with pytest.raises(StaleState, match="is known to run as"):
            ran(desk, endless, "v-other")


class TestDidNotRun:
    def test_it_is_absent_and_its_hold_is_given_back(self, desk, lost):
        after = did_not_run(desk, lost)
        assert (after.state, after.charged, after.failure) == ("absent", 0, "transient")
        assert desk.balance("job", "job-1").free == 1_000 * USD

    def test_what_the_vendor_accepted_did_run(self, desk, endless):
        with pytest.raises(StaleState, match=r"so it ran; .* write it off with a charge of 0"):
            did_not_run(desk, endless)
        assert desk.balance("job", "job-1").reserved == 7 * USD


class TestWriteOff:
    @pytest.mark.parametrize("charge", [None, 0, 5 * USD, 9 * USD])
    @pytest.mark.parametrize("fixture", ["lost", "endless"])
    def test_it_is_charged_at_the_hold_or_as_said(self, desk, request, fixture, charge):
        key = request.getfixturevalue(fixture)
        after = write_off(desk, key, charge)
        wanted = 7 * USD if charge is None else charge
        assert (after.state, after.charged, after.cost_source) == ("written_off", wanted, "person")
        assert (desk.balance("job", "job-1").settled, desk.balance("job", "job-1").reserved) == (wanted, 0)

    def test_a_negative_charge_is_refused(self, desk, lost):
        with pytest.raises(SpecError, match="charged"):
            write_off(desk, lost, -1)

    @pytest.mark.parametrize(("charge", "total"), [(None, 7), (0, 7), (5 * USD, 7), (9 * USD, 9)])
    def test_a_render_that_turns_up_late_never_books_the_hold_twice(self, desk, lost, charge, total):
        write_off(desk, lost, charge)
        for _ in range(2):
            desk.accept(lost, "v-late")
        assert (desk.get(lost).state, desk.get(lost).vendor_id) == ("written_off", "v-late")
        assert desk.balance("job", "job-1").settled == total * USD
        assert desk.topics().count("written_off_turned_up") == 1
        assert "duplicate_vendor_job" not in desk.topics()

    def test_another_render_after_that_is_a_second_one_and_is_booked(self, desk, lost):
        write_off(desk, lost)
        desk.accept(lost, "v-late")
        desk.accept(lost, "v-second")
        assert desk.balance("job", "job-1").settled == 14 * USD
        assert desk.topics().count("duplicate_vendor_job") == 1

    def test_of_two_renders_that_turn_up_at_once_one_is_the_written_off(self, desk, lost):
        write_off(desk, lost)
        assert errors(race(2, lambda n: desk.accept(lost, f"v-{n}"))) == []
        assert desk.balance("job", "job-1").settled == 14 * USD
        assert (desk.topics().count("duplicate_vendor_job"), desk.topics().count("written_off_turned_up")) == (1, 1)


class TestFileGone:
    def test_it_is_not_fetched_any_more_and_its_charge_stands(self, desk, paid):
        assert file_gone(desk, paid).charged == 7 * USD
        with desk.ledger.read() as conn:
            assert (parked.given_up(conn, paid), purchases.due(conn, now=NOW)) == (True, [])
        assert waiting(desk, NOW + 5 * HOUR) == []

    def test_nothing_is_given_up_that_nobody_gave_up(self, desk, paid):
        with desk.ledger.read() as conn:
            assert not parked.given_up(conn, paid)
            assert [p.purchase_id for p in purchases.due(conn, now=NOW)] == [paid]


class TestEveryAnswer:
    @pytest.mark.parametrize("answer", ANSWERS)
    @pytest.mark.parametrize("state", ["held", "submitting", "submitted", "unknown", "failed", "absent", "written_off"])
    def test_what_does_not_wait_for_it_is_refused_and_untouched(self, desk, envelope, state, answer):
        key = desk.bring(desk.hold(envelope).purchase_id, state).purchase_id
        before = desk.rows(*EVERYTHING)
        with pytest.raises(StaleState):
            answer(desk, key)
        assert desk.rows(*EVERYTHING) == before

    @pytest.mark.parametrize(("fixture", "answer"), [("lost", did_not_run), ("lost", write_off), ("paid", file_gone)])
    def test_said_again_it_is_refused_and_booked_once(self, desk, request, fixture, answer):
        key = request.getfixturevalue(fixture)
        answer(desk, key)
        with pytest.raises(StaleState):
            answer(desk, key)
        assert len(said(desk, key)) == 1

    def test_of_two_people_who_say_different_things_at_once_one_is_heard(self, desk, lost):
        told = race(2, lambda n: (did_not_run, write_off)[n](desk, lost))
        assert len(errors(told)) == len(said(desk, lost)) == 1

    @pytest.mark.parametrize(
        ("fixture", "answer"), [("lost", ran), ("lost", did_not_run), ("lost", write_off), ("paid", file_gone)]
    )
    def test_without_a_reason_nothing_is_done(self, desk, request, monkeypatch, fixture, answer):
        key = request.getfixturevalue(fixture)
        monkeypatch.setitem(SAID, "why", "  ")
        before = desk.rows(*EVERYTHING)
        with pytest.raises(SpecError, match="why"):
            answer(desk, key)
        assert desk.rows(*EVERYTHING) == before


def test_a_question_of_a_run_is_always_about_the_purchase_it_showed_first(desk, envelope):
    with desk.ledger.write() as conn:
        assert parked.show(conn, "run", "ask", "a", now=NOW) == "a"
        assert parked.show(conn, "run", "ask", "b", now=NOW) == "a"
        assert parked.show(conn, "other", "ask", "b", now=NOW) == "b"
