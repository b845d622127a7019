"""A person sees what to look for, and is told what an answer could cost."""

from __future__ import annotations

import pytest

from aiprod import parking
from aiprod.errors import SpecError, StaleState
from aiprod.ledger import purchases
from aiprod.ledger.engine import now
from aiprod.ledger.states import Step
from tests.market import Market

WHO = {"by": "Ada", "why": "seen on the vendor's page"}


@pytest.fixture
def lost(mute_market: Market) -> str:
    """An answer was lost at a vendor that cannot be asked."""
    mute_market.bought("[[runway=lose]] a lighthouse\x1b[31m   in the\n evening " + "light " * 30)
    return mute_market.only().purchase_id


def test_the_list_says_what_to_look_for_on_the_vendors_page(mute_market: Market, lost: str) -> None:
    (line,) = parking.listed(mute_market.ledger)
    assert (line.short, line.answers) == (lost[:8], ("ran", "did_not_run", "write_off"))
    assert line.prompt.startswith("[[runway=lose]] a lighthouse[31m in the evening light") and len(line.prompt) == 60
    assert line.why == "the answer was lost: runway: read timeout"
    assert line.sent_at == mute_market.only().submitted_at


def test_ids_that_begin_alike_are_shown_longer(mute_market: Market, lost: str) -> None:
    twin = lost[:12] + ("0" if lost[12] != "0" else "1") * 20
    assert parking._parked(mute_market.only(), [lost, twin]).short == lost[:13]


def test_a_render_that_ran_is_paid_and_fetched_by_the_next_pass(mute_market: Market, lost: str) -> None:
    (booked,) = mute_market.accepts()
    told = parking.answer(mute_market.ledger, mute_market.catalog, lost, "ran", vendor_id=str(booked["id"]), **WHO)
    assert told.startswith("job-1 shot 1 at runway: runs as runway-")
    mute_market.pipeline.reconcile()
    assert (mute_market.only().state, mute_market.only().charged, mute_market.count("takes")) == ("succeeded", 120_000, 1)


def test_an_id_that_the_vendor_does_not_know_is_refused(mute_market: Market, lost: str) -> None:
    with pytest.raises(StaleState, match="runway knows no render v-typo"):
        parking.answer(mute_market.ledger, mute_market.catalog, lost, "ran", vendor_id="v-typo", **WHO)
    assert mute_market.only().state == "unknown"


def test_a_vendor_that_cannot_be_asked_takes_the_persons_word(mute_market: Market, lost: str) -> None:
    mute_market.with_backend("runway", needs=("RUNWAYML_API_SECRET",))
    parking.answer(mute_market.ledger, mute_market.catalog, lost, "ran", vendor_id="v-1", **WHO)
    assert mute_market.only().vendor_id == "v-1"


def test_what_ran_while_its_shot_was_bought_elsewhere_is_paid_and_kept_beside_it(mute_market: Market, lost: str) -> None:
    mute_market.with_backend("veo3", slots=5)
    mute_market.pipeline.route(["job-1"], 2)
    (booked,) = mute_market.accepts()
    told = parking.answer(mute_market.ledger, mute_market.catalog, lost, "ran", vendor_id=str(booked["id"]), **WHO)
    assert told.endswith("its shot was bought elsewhere meanwhile, so it stays parked")
    mute_market.pipeline.reconcile()
    assert mute_market.states() == [("runway", "succeeded"), ("veo3", "held")]


@pytest.mark.parametrize(
    ("word", "state", "told"),
    [
        ("did_not_run", "absent", "job-1 shot 1 at runway: absent, $0.12 are given back"),
        ("write_off", "written_off", "job-1 shot 1 at runway: written off, $0.12 charged"),
    ],
)
def test_an_answer_says_what_became_of_the_money(mute_market: Market, lost: str, word, state: str, told: str) -> None:
    assert parking.answer(mute_market.ledger, mute_market.catalog, lost, word, **WHO) == told
    assert mute_market.only().state == state
    assert parking.listed(mute_market.ledger) == []


def test_only_what_may_be_paid_twice_has_a_consequence(mute_market: Market, lost: str) -> None:
    purchase = mute_market.only()
    assert parking.consequence(purchase, "ran") == ""
    assert "if it did run after all, you pay twice" in parking.consequence(purchase, "did_not_run")
    assert "you pay twice" in parking.consequence(purchase, "write_off")
    assert "pay for it twice" in parking.consequence(purchase, "file_gone")


@pytest.mark.parametrize(("why", "vendor_id", "missing"), [(" ", "v", "why"), ("seen", " ", "vendor-id")])
def test_an_answer_that_lacks_something_changes_nothing(
    mute_market: Market, lost: str, why: str, vendor_id: str, missing: str
) -> None:
    with pytest.raises(SpecError, match=missing):
        parking.answer(mute_market.ledger, mute_market.catalog, lost, "ran", by="Ada", why=why, vendor_id=vendor_id)
    assert mute_market.only().state == "unknown"


def test_a_paid_render_whose_file_is_gone_is_shown_and_given_up(market: Market) -> None:
    market.bought("[[runway=slow:600]]")
    market.finish()
    market.sql("UPDATE purchases SET vendor_id = 'deleted'")
    only = market.only()
    with market.ledger.write() as conn:
        purchases.close(conn, only.purchase_id, Step.SUCCEED, catalog=market.catalog, now=now(conn), charge=only.hold)
    assert "its file did not come home" in market.pipeline.reconcile().troubles[0]
    market.age("purchases", "closed_at")
    (line,) = parking.listed(market.ledger)
    assert (line.answers, line.why) == (("file_gone",), "deleted is paid and its file does not come home")
    told = parking.answer(market.ledger, market.catalog, only.purchase_id, "file_gone", **WHO)
    assert told.endswith("its file is given up, $0.12 stay charged; the shot may be bought again")
    assert (market.pipeline.reconcile().troubles, parking.listed(market.ledger)) == ((), [])
