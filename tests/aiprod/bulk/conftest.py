"""A campaign on a market, on one database or on each."""

from __future__ import annotations

import pytest

from tests.aiprod.bulk.campaign import Campaign
from tests.market import Market


@pytest.fixture
def campaign(local_market: Market) -> Campaign:
    return Campaign(local_market)


@pytest.fixture
def everywhere(market: Market) -> Campaign:
    """On each database."""
    return Campaign(market)
