"""What a vendor does on order, and what it books."""

from __future__ import annotations

import threading

import pytest

from aiprod.emulators.books import Books
from aiprod.emulators.generic import Generic
from aiprod.emulators.house import Cut, House, Refused, Terms

TERMS = Terms(offers={"runway": "key", "veo3": "list", "mute": "none"}, prices={"runway": 120_000, "veo3": 400_000, "mute": 1})


@pytest.fixture
def file(tmp_path):
    return tmp_path / "books.jsonl"


@pytest.fixture
def house(file):
    return House(Books(file), TERMS)


def buy(house, prompt="a", *, backend="runway", key="k", seconds=1.5):
    return Generic(house).submit(backend, {"prompt": prompt, "seconds": seconds, "marker": key}, key)


def accepts(file):
    return [line for line in Books.read(file)[0] if line["event"] == "accept"]


def test_an_accept_is_booked_with_its_price(house, file):
    vendor_id = buy(house)

    (booked,) = accepts(file)
    assert (booked["id"], booked["key"], booked["price_micros"], booked["billable_micros"]) == (vendor_id, "k", 180_000, 180_000)


def test_ids_of_two_vendors_never_meet(tmp_path):
    assert buy(House(Books(tmp_path / "a"), TERMS)) != buy(House(Books(tmp_path / "b"), TERMS))


@pytest.mark.parametrize("order", ["lose", "lose:500"])
def test_a_lost_answer_was_billed(house, file, order):
    with pytest.raises((Cut, Refused)):
        buy(house, f"[[runway={order}]]")
    assert len(accepts(file)) == 1


@pytest.mark.parametrize("order", ["refuse:429", "refuse:503"])
def test_what_is_refused_is_not_billed(house, file, order):
    with pytest.raises(Refused):
        buy(house, f"[[runway={order}]]")
    assert accepts(file) == []


def test_a_request_can_be_cut_unread_and_the_next_one_read(house, file):
    with pytest.raises(Cut):
        buy(house, "[[runway=reset|ok]]")
    assert accepts(file) == []
    assert buy(house, "[[runway=reset|ok]]")


def test_orders_are_taken_in_turn_and_the_last_repeats(house, file):
    for key in "ab":
        with pytest.raises(Refused):
            buy(house, "[[runway=refuse:503|lose:500|ok]]", key=key)
    buy(house, "[[runway=refuse:503|lose:500|ok]]", key="c")
    buy(house, "[[runway=refuse:503|lose:500|ok]]", key="d")

    assert [a["key"] for a in accepts(file)] == ["b", "c", "d"]


def test_a_late_accept_comes_when_its_time_has_come_and_before_the_jump_ends(house, file):
    def ask():
        with pytest.raises(Cut):
            buy(house, "[[veo3=late:600]]", backend="veo3")

    begun = house.now()
    asking = threading.Thread(target=ask)
    asking.start()
    while asking.is_alive() and not house.waiting:
        pass
    assert accepts(file) == []

    house.agree(Terms(offers=TERMS.offers, prices=TERMS.prices, ahead=5_000))
    (one,) = accepts(file)
    assert one["at"] == pytest.approx(begun + 600, abs=30), "as old as it would be without the jump"
    asking.join()


def test_an_order_that_nobody_knows_is_no_silent_success(house):
    with pytest.raises(Refused, match="unknown order"):
        buy(house, "[[runway=explode]]")


def test_a_vendor_that_forgot_keeps_its_books(house, file):
    before = buy(house)
    house.forget()

    assert buy(house) != before
    assert len(accepts(file)) == 2


def test_two_buyers_cannot_both_spend_the_last_dollar(file):
    house = House(Books(file), Terms(offers=TERMS.offers, prices={"mute": 100_000}, credit=1_000_000))
    begin, refused = threading.Barrier(20), []

    def ask(n):
        begin.wait()
        try:
            buy(house, str(n), backend="mute", seconds=1)
        except Refused as error:
            refused.append(error.reason)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(20)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert (len(accepts(file)), refused) == (10, ["broke"] * 10)


def test_who_waits_is_let_go_when_the_vendor_closes(house, file):
    def ask():
        with pytest.raises(Cut):
            buy(house, "[[veo3=late:600]]", backend="veo3")

    asking = threading.Thread(target=ask)
    asking.start()
    while asking.is_alive() and not house.waiting:
        pass
    house.close()
    asking.join(5)
    assert not asking.is_alive() and not house.waiting
    assert accepts(file) == []
