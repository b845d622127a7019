"""What a delivered job tells: its cost per minute, how far its estimate was off, and what was not spent."""

from __future__ import annotations

from aiprod.ledger import points
from tests.market import Market


def told(market: Market) -> dict[tuple[str, ...], points.Series]:
    market.pipeline.push_metrics()
    with market.ledger.read() as conn:
        return {(s.name, *s.labels.values()): s for s in points.series(conn) if s.count}


def deliver(market: Market, prompt: str = "a lighthouse") -> None:
    market.approved(prompt)
    market.run("job-1")
    market.pipeline.assemble(["job-1"])
    for _ in range(2):
        market.pipeline.deliver(["job-1"])


def test_a_job_that_cost_what_was_expected_is_told_once(local_market: Market) -> None:
    deliver(local_market)
    seen = told(local_market)
    assert round(seen["cost_per_minute", "quick_social"].total, 6) == 7.2, "12 cents a second"
    assert (seen["estimate_error", "under"].total, seen["estimate_error", "under"].count) == (0, 1)
    assert seen["jobs", "delivered"].count == 1
    assert ("savings", "reuse") not in seen


def test_a_failure_that_was_charged_makes_the_estimate_wrong(local_market: Market) -> None:
    deliver(local_market, "[[runway=fail-charged]]")
    seen = told(local_market)
    assert round(seen["estimate_error", "over"].total, 3) == round((0.12 + 0.4 - 0.12) / 0.12, 3)
