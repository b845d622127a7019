"""The plain protocol: what each backend offers, and how its renders end."""

from __future__ import annotations

import pytest

from aiprod.emulators.books import Books
from aiprod.emulators.generic import Generic
from aiprod.emulators.house import House, Refused, Terms

TERMS = Terms(offers={"runway": "key", "veo3": "list", "mute": "none"}, prices={"runway": 120_000, "veo3": 400_000, "mute": 1})


@pytest.fixture
def file(tmp_path):
    return tmp_path / "books.jsonl"


@pytest.fixture
def house(file):
    return House(Books(file), TERMS)


@pytest.fixture
def generic(house):
    return Generic(house)


def buy(generic, prompt="a", *, backend="runway", key="k", seconds=1.5):
    return generic.submit(backend, {"prompt": prompt, "seconds": seconds, "marker": key}, key)


def accepts(file):
    return [line for line in Books.read(file)[0] if line["event"] == "accept"]


def test_a_key_buys_once_where_it_is_offered(generic, file):
    assert buy(generic) == buy(generic)
    assert len(accepts(file)) == 1


@pytest.mark.parametrize("backend", ["veo3", "mute"])
def test_where_no_key_is_offered_the_same_request_is_billed_again(generic, file, backend):
    assert buy(generic, backend=backend) != buy(generic, backend=backend)
    assert len(accepts(file)) == 2


@pytest.mark.parametrize(
    ("order", "billed", "status"),
    [("fail", 0, "FAILED"), ("fail-charged", 180_000, "FAILED"), ("bill:1.3", 234_000, "SUCCEEDED")],
)
def test_a_render_ends_and_costs_as_ordered(generic, file, order, billed, status):
    vendor_id = buy(generic, f"[[runway={order}]]")

    assert generic.status("runway", vendor_id) == {"id": vendor_id, "status": status, "cost_micros": billed}
    assert accepts(file)[0]["billable_micros"] == billed


def test_a_slow_render_ends_on_the_vendors_own_clock(house, generic):
    vendor_id = buy(generic, "[[runway=slow:60]]")
    assert generic.status("runway", vendor_id)["status"] == "RUNNING"

    house.agree(Terms(offers=TERMS.offers, prices=TERMS.prices, ahead=61))
    assert generic.status("runway", vendor_id)["status"] == "SUCCEEDED"


def test_a_listing_shows_a_render_after_its_lag_and_nobody_elses(house, generic):
    house.agree(Terms(offers=TERMS.offers, prices=TERMS.prices, listing_lag=30))
    vendor_id = buy(generic, backend="veo3")
    assert generic.listing("veo3", "k") == []

    house.agree(Terms(offers=TERMS.offers, prices=TERMS.prices, listing_lag=30, ahead=31))
    assert generic.listing("veo3", "k") == [vendor_id]
    assert generic.listing("veo3", "other") == []


@pytest.mark.parametrize("backend", ["runway", "mute"])
def test_where_nothing_is_listed_one_cannot_look(generic, backend):
    with pytest.raises(Refused):
        generic.listing(backend, "k")


def test_a_file_that_was_gone_comes_at_the_second_try(generic):
    vendor_id = buy(generic, "[[runway=gone]]")
    with pytest.raises(Refused):
        generic.file("runway", vendor_id)
    assert vendor_id.encode() in generic.file("runway", vendor_id)
