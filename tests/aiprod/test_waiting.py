"""A shot that waits says for what and until when; the last moment of what is short counts, the first of the backends."""

from __future__ import annotations

import pytest

from aiprod import waiting
from aiprod.choosing import Chosen, decided, ordered, situation
from aiprod.ledger.engine import now as database_now
from aiprod.waiting import Wait
from tests.market import Market


def waits(market: Market) -> Wait | None:
    with market.ledger.read() as conn:
        order, now = ordered(conn, "job-1", 1), database_now(conn)
        found = situation(conn, market.catalog, order, now=now)
        decision, known = decided(market.catalog, order, 1, found)
        return waiting.for_money(market.catalog, order, found, decision, known, Chosen())


def test_a_job_that_would_wait_for_the_next_days_money_waits_until_then(local_market: Market) -> None:
    local_market.approved(at_cap="wait")
    local_market.with_budgets(day_usd="0.01")
    wait = waits(local_market)
    assert wait is not None and wait.reason == "money"
    with local_market.ledger.read() as conn:
        assert wait.due_at.date() > database_now(conn).date()


@pytest.mark.parametrize(("at_cap", "day"), [("fail", "0.01"), ("wait", "100")])
def test_a_job_that_would_rather_fail_or_is_not_short_of_money_does_not_wait(local_market: Market, at_cap: str, day: str) -> None:
    local_market.approved(at_cap=at_cap)
    local_market.with_budgets(day_usd=day)
    assert waits(local_market) is None


def test_nobody_waits_for_an_approval_to_grow(local_market: Market) -> None:
    local_market.approved(at_cap="wait")
    local_market.sql("UPDATE approvals SET amount = 1000")
    assert waits(local_market) is None
