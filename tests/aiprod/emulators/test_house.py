"""What a vendor does on order, and what it books."""

from __future__ import annotations

import threading

import pytest

from aiprod.emulators.books import Books
from aiprod.emulators.house import Cut, House, Refused, Terms

TERMS = Terms(offers={"runway": "key", "veo3": "list", "mute": "none"}, prices={"runway": 120_000, "veo3": 400_000, "mute": 1})


@pytest.fixture
def file(tmp_path):
    return tmp_path / "books.jsonl"


@pytest.fixture
def house(file):
    return House(Books(file), TERMS)


def buy(house, prompt="a", *, backend="runway", key="k", seconds=1.5):
    return house.submit(backend, {"prompt": prompt, "seconds": seconds, "marker": key}, key)


def accepts(file):
    return [line for line in Books.read(file)[0] if line["event"] == "accept"]


def test_an_accept_is_booked_with_its_price(house, file):
    vendor_id = buy(house)

    (booked,) = accepts(file)
    assert (booked["id"], booked["key"], booked["price_micros"], booked["billable_micros"]) == (vendor_id, "k", 180_000, 180_000)


def test_a_key_buys_once_where_it_is_offered(house, file):
    assert buy(house) == buy(house)
    assert len(accepts(file)) == 1


@pytest.mark.parametrize("backend", ["veo3", "mute"])
def test_where_no_key_is_offered_the_same_request_is_billed_again(house, file, backend):
    assert buy(house, backend=backend) != buy(house, backend=backend)
    assert len(accepts(file)) == 2


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


def test_a_request_can_be_cut_unread_and_the_next_one_read(house):
    assert house.cut_before_reading("runway", "[[runway=reset|ok]]")
    assert not house.cut_before_reading("runway", "[[runway=reset|ok]]")


def test_orders_are_taken_in_turn_and_the_last_repeats(house, file):
    for key in "ab":
        with pytest.raises(Refused):
            buy(house, "[[runway=refuse:503|lose:500|ok]]", key=key)
    buy(house, "[[runway=refuse:503|lose:500|ok]]", key="c")
    buy(house, "[[runway=refuse:503|lose:500|ok]]", key="d")

    assert [a["key"] for a in accepts(file)] == ["b", "c", "d"]


@pytest.mark.parametrize(
    ("order", "billed", "status"),
    [("fail", 0, "FAILED"), ("fail-charged", 180_000, "FAILED"), ("bill:1.3", 234_000, "SUCCEEDED")],
)
def test_a_render_ends_and_costs_as_ordered(house, file, order, billed, status):
    vendor_id = buy(house, f"[[runway={order}]]")

    assert house.status("runway", vendor_id) == {"id": vendor_id, "status": status, "cost_micros": billed}
    assert accepts(file)[0]["billable_micros"] == billed


def test_a_slow_render_ends_on_the_vendors_own_clock(house):
    vendor_id = buy(house, "[[runway=slow:60]]")
    assert house.status("runway", vendor_id)["status"] == "RUNNING"

    house.agree(Terms(offers=TERMS.offers, prices=TERMS.prices, ahead=61))
    assert house.status("runway", vendor_id)["status"] == "SUCCEEDED"


def test_a_listing_shows_a_render_after_its_lag_and_nobody_elses(house):
    house.agree(Terms(offers=TERMS.offers, prices=TERMS.prices, listing_lag=30))
    vendor_id = buy(house, backend="veo3")
    assert house.listing("veo3", "k") == []

    house.agree(Terms(offers=TERMS.offers, prices=TERMS.prices, listing_lag=30, ahead=31))
    assert house.listing("veo3", "k") == [vendor_id]
    assert house.listing("veo3", "other") == []


@pytest.mark.parametrize("backend", ["runway", "mute"])
def test_where_nothing_is_listed_one_cannot_look(house, backend):
    with pytest.raises(Refused):
        house.listing(backend, "k")


def test_a_late_accept_comes_when_its_time_has_come_and_before_the_jump_ends(house, file):
    def ask():
        with pytest.raises(Cut):
            buy(house, "[[veo3=late:600]]", backend="veo3")

    begun = house.now()
    asking = threading.Thread(target=ask)
    asking.start()
    while not house.waiting:
        pass
    assert accepts(file) == []

    house.agree(Terms(offers=TERMS.offers, prices=TERMS.prices, ahead=5_000))
    (one,) = accepts(file)
    assert one["at"] == pytest.approx(begun + 600, abs=30), "as old as it would be without the jump"
    asking.join()


def test_an_order_that_nobody_knows_is_no_silent_success(house):
    with pytest.raises(Refused, match="unknown order"):
        buy(house, "[[runway=explode]]")


def test_a_file_that_was_gone_comes_at_the_second_try(house):
    vendor_id = buy(house, "[[runway=gone]]")
    with pytest.raises(Refused):
        house.file("runway", vendor_id)
    assert vendor_id.encode() in house.file("runway", vendor_id)


def test_a_vendor_that_forgot_keeps_its_books(house, file):
    before = buy(house)
    house.forget()

    assert buy(house) != before
    assert len(accepts(file)) == 2
