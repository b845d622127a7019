"""What was charged in a period: every posting that settled something, once, in the period in which it was booked."""

from __future__ import annotations

from datetime import timedelta

from aiprod.ledger.charges import charges, settled_between
from aiprod.ledger.states import Step
from aiprod.models import USD
from tests.desk import HOUR, NOW


def read(desk, since=NOW - HOUR, until=NOW + HOUR):
    with desk.ledger.read() as conn:
        return charges(conn, since, until), settled_between(conn, since, until)


def test_a_hold_is_no_charge_and_an_end_and_a_correction_are_one_each(desk):
    key = desk.bought(desk.order()).purchase_id
    assert read(desk) == ([], 0)
    desk.close(key, Step.SUCCEED, charge=6 * USD)
    desk.adjust(key, -2 * USD, "refund")
    found, settled = read(desk)
    assert [(c.ended, c.amount, c.hold, c.cost_source) for c in found] == [
        (True, 6 * USD, 7 * USD, "vendor"),
        (False, -2 * USD, 7 * USD, "vendor"),
    ]
    assert settled == 4 * USD


def test_what_was_given_back_is_there_at_nothing(desk):
    desk.release(desk.hold(desk.order()).purchase_id, Step.VOID)
    (found,), settled = read(desk)
    assert (found.state, found.amount, settled) == ("voided", 0, 0)


def test_a_period_has_its_first_microsecond_and_not_its_last(desk):
    desk.close(desk.bought(desk.order()).purchase_id, Step.SUCCEED, charge=USD)
    microsecond = timedelta(microseconds=1)
    assert read(desk, NOW, NOW + microsecond)[1] == USD
    assert read(desk, NOW - HOUR, NOW)[1] == read(desk, NOW + microsecond, NOW + HOUR)[1] == 0


def test_a_charge_is_counted_when_it_was_booked_not_when_it_was_held(desk):
    key = desk.bought(desk.order()).purchase_id
    desk.close(key, Step.SUCCEED, charge=USD, now=NOW + 30 * HOUR)
    assert read(desk)[1] == 0
    assert read(desk, NOW + 29 * HOUR, NOW + 31 * HOUR)[1] == USD
