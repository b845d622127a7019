"""What the ledger knows, as series: exact, and never counted twice."""

from __future__ import annotations

import pytest

from aiprod import metrics
from aiprod.ledger import points
from tests.market import Market


def series(market: Market) -> dict[tuple[str, str], points.Series]:
    with market.ledger.read() as conn:
        return {(s.name, ",".join(s.labels.values())): s for s in points.series(conn)}


def test_a_purchase_is_counted_with_its_cost_and_its_time(market: Market) -> None:
    market.bought()
    market.pipeline.push_metrics()
    seen = series(market)
    assert seen["cost", "runway"].total == pytest.approx(0.12)
    assert seen["render_time", "runway,gen4.5"].count == 1


def test_pushing_again_counts_nothing_twice(market: Market) -> None:
    market.bought()
    market.pipeline.push_metrics()
    before = series(market)["cost", "runway"]
    market.pipeline.push_metrics()
    assert series(market)["cost", "runway"] == before
    assert market.count("metric_outbox") == 0


def test_gauges_say_what_today_holds_and_who_is_up(market: Market) -> None:
    market.routed()
    for n in range(3):
        market.bought("[[veo3=fail]]", backend="veo3", job_id=f"sick-{n}")
    market.pipeline.push_metrics()
    seen = series(market)
    assert seen["spend_today", ""].last == pytest.approx(0.12)
    assert (seen["backend_up", "runway"].last, seen["backend_up", "veo3"].last) == (1.0, 0.0)


def test_a_long_queue_is_folded_to_its_end(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_BATCH", 2)
    market.bought()
    waiting = market.count("metric_outbox")
    assert market.pipeline.push_metrics() >= waiting
    assert market.count("metric_outbox") == 0
