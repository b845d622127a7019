"""An offer says what an order would cost, who would make it, and what today's money allows; and enters nothing."""

from __future__ import annotations

from decimal import Decimal

import pytest

from aiprod.catalog import catalog
from aiprod.errors import SpecError
from aiprod.ledger import Ledger
from aiprod.models import USD, JobSpec
from aiprod.offering import Offer, offer
from tests.desk import rows

KEYS = {"RUNWAYML_API_SECRET": "k", "REPLICATE_API_TOKEN": "k"}


@pytest.fixture(autouse=True)
def _two_vendors(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


def offered(ledger: Ledger, day_usd: int = 100, **order: object) -> Offer:
    known = catalog()
    budgets = known.budgets.model_copy(update={"day_usd": Decimal(day_usd), "project_usd": {"acme": Decimal(1)}})
    spec = JobSpec.parse({"prompt": "a lake", "audio": False, "seconds": 5, **order})
    return offer(ledger, known.model_copy(update={"budgets": budgets}), spec)


def test_it_prices_every_backend_and_says_in_a_sentence_who_is_chosen(ledger: Ledger) -> None:
    made = offered(ledger)

    assert [(line.backend, line.shots) for line in made.backends] == [("runway", 1), ("replicate", 1)]
    assert made.estimate.expected == made.backends[0].quote
    assert made.decisions[0].startswith("Shot 1 goes to runway")
    assert (made.fits_budget, made.recommendation) == (True, None)


def test_it_says_who_has_to_approve_how_much(ledger: Ledger) -> None:
    quick, brand = offered(ledger), offered(ledger, preset="brand_campaign")

    assert (quick.automatic, quick.amount) == (True, quick.estimate.worst_case)
    assert brand.automatic is False


def test_an_order_over_its_budget_is_still_priced_and_told_what_would_fit(ledger: Ledger) -> None:
    made = offered(ledger, budget_usd="0.30", backend="runway")

    assert made.fits_budget is False
    assert made.budget == 300_000 < made.estimate.expected
    assert made.recommendation == "2 s of it would fit at runway, for $0.24"


def test_it_says_what_today_has_left_for_the_project(ledger: Ledger) -> None:
    assert offered(ledger).left_today == 100 * USD
    assert offered(ledger, project="acme").left_today == 1 * USD
    assert offered(ledger, day_usd=0).fits_today is False


def test_an_order_that_nobody_could_make_is_refused_like_a_real_one(ledger: Ledger) -> None:
    with pytest.raises(SpecError, match="allows 30 s at most"):
        offered(ledger, seconds=500)


def test_it_writes_nothing(ledger: Ledger) -> None:
    tables = ("jobs", "manifests", "caps", "purchases", "approvals", "queue")
    before = rows(ledger, *tables)
    offered(ledger)

    assert rows(ledger, *tables) == before
