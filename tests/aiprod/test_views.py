"""What is shown travels as JSON and comes back the same; money is whole micro-dollars everywhere."""

from __future__ import annotations

import json
from typing import Any

from aiprod.viewing import view
from aiprod.views import JobView
from tests.market import Market


def test_a_view_is_the_same_after_its_journey(local_market: Market) -> None:
    local_market.bought()
    local_market.pipeline.score(["job-1"], 1)
    shown = view(local_market.ledger, local_market.catalog, "job-1")
    assert JobView.model_validate_json(shown.model_dump_json()) == shown


def test_amounts_are_whole_numbers(local_market: Market) -> None:
    local_market.bought()
    shown = json.loads(view(local_market.ledger, local_market.catalog, "job-1").model_dump_json())
    names = {"amount", "quote", "hold", "charged", "held", "saved", "expected", "worst_case", "budget", "budget_left"}

    def amounts(value: Any) -> list[Any]:
        if isinstance(value, list):
            return [found for one in value for found in amounts(one)]
        if not isinstance(value, dict):
            return []
        mine = [found for name, found in value.items() if name in names and found is not None]
        return mine + [found for one in value.values() for found in amounts(one)]

    found = amounts(shown)
    assert len(found) > 10 and all(isinstance(amount, int) for amount in found)
