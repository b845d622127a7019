"""The audit finds what it is there to find: an audit that cannot is no proof."""

from __future__ import annotations

from typing import Any

import pytest

from aiprod.catalog import catalog
from aiprod.ledger import Ledger
from aiprod.ledger.purchases import Purchase
from aiprod.models import USD
from benchmarks.load.auditing import Audit, audited
from tests.desk import Desk


@pytest.fixture
def desk(sqlite_url: str) -> Desk:
    """Booked the same way on every database; one is enough."""
    return Desk(Ledger(sqlite_url), catalog())


def bought(desk: Desk, state: Any = "failed") -> Purchase:
    return desk.bring(desk.hold(desk.order(amount=8 * USD), amount=5 * USD).purchase_id, state)


def accept(purchase: Purchase, **changes: Any) -> dict[str, Any]:
    """A line of the vendor's books, as it is for this purchase."""
    line = {
        "id": purchase.vendor_id,
        "backend": purchase.backend,
        "key": purchase.purchase_id,
        "price_micros": 5 * USD,
        "billable_micros": purchase.charged or 0,
        "body": None,
    }
    return {**line, **changes}


def found(audit: Audit) -> dict[str, float | None]:
    return {figure.name: figure.value for figure in audit.figures() if not figure.kept}


def test_books_that_agree_break_nothing(desk: Desk) -> None:
    purchase = bought(desk)
    audit = audited(desk.ledger, desk.catalog, [accept(purchase)])

    assert found(audit) == {}
    assert (audit.accepts, audit.billed, audit.charged) == (1, purchase.charged, purchase.charged)


def test_a_request_that_was_accepted_twice_is_found(desk: Desk) -> None:
    purchase = bought(desk)

    assert found(audited(desk.ledger, desk.catalog, [accept(purchase)] * 2))["duplicates"] == 1


def test_a_bill_that_nobody_booked_is_found(desk: Desk) -> None:
    purchase = bought(desk)
    more = accept(purchase, billable_micros=(purchase.charged or 0) + 2 * USD)

    assert found(audited(desk.ledger, desk.catalog, [more]))["overspend"] == 2


def test_a_paid_clip_whose_file_never_came_home_is_found(desk: Desk) -> None:
    purchase = bought(desk, "succeeded")

    assert found(audited(desk.ledger, desk.catalog, [accept(purchase)])) == {"lost": 1}


def test_what_the_vendor_accepted_and_nobody_ordered_is_lost(desk: Desk) -> None:
    purchase = bought(desk)
    stray = accept(purchase, id="stray", key="nobody ordered it")

    assert found(audited(desk.ledger, desk.catalog, [accept(purchase), stray])) == {"lost": 1}


def test_money_that_is_still_held_is_found(desk: Desk) -> None:
    purchase = bought(desk, "submitted")

    assert found(audited(desk.ledger, desk.catalog, [accept(purchase)])) == {"unexplained holds": 1}
