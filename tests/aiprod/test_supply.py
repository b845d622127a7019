"""Backends and budgets are told as the next purchase would find them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from aiprod import supply
from aiprod.models import USD
from aiprod.pricing import in_force
from tests.market import Market


def test_every_backend_says_what_a_second_costs_and_how_many_slots_are_free(local_market: Market) -> None:
    told = supply.backends(local_market.ledger, local_market.catalog)

    assert tuple(one.name for one in told.backends) == tuple(local_market.catalog.backend_order)
    (runway,) = (one for one in told.backends if one.name == "runway")
    assert (runway.missing, runway.healthy, runway.free_slots) == ("", True, runway.slots)
    assert runway.prices[0].per_second == 120_000


def test_the_newest_price_that_has_begun_is_in_force(local_market: Market) -> None:
    tariff = local_market.catalog.prices
    now, *others = in_force(tariff, "runway", date(2026, 11, 23))
    later = now.model_copy(update={"valid_from": date(2027, 1, 1), "usd_per_second": now.usd_per_second * 2})
    changed = tariff.model_copy(update={"prices": (*tariff.prices, later)})

    assert in_force(changed, "runway", date(2026, 12, 31)) == (now, *others)
    assert in_force(changed, "runway", date(2027, 1, 1)) == (later, *others)


def test_a_projects_cap_is_not_shown_to_whom_the_project_is_hidden(local_market: Market) -> None:
    catalog = local_market.catalog
    budgets = catalog.budgets.model_copy(update={"project_usd": {"secret": Decimal(5)}})
    known = catalog.model_copy(update={"budgets": budgets})
    scopes = {cap.scope: cap for cap in supply.budget(local_market.ledger, known).caps}

    assert scopes["project:secret"].left == 5 * USD
    assert "project:secret" not in {
        cap.scope for cap in supply.budget(local_market.ledger, known, hidden_projects=["secret"]).caps
    }
