"""What the ledger knows, as series: exact, and never counted twice."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from aiprod.catalog import catalog
from aiprod.ledger import points
from aiprod.metrics import flushing
from tests.desk import race_of_processes
from tests.market import Market, killed, lethal

GAUGES = [name for name, metric in catalog().metrics.items() if metric.kind == "gauge"]


def series(market: Market) -> dict[tuple[str, str], points.Series]:
    with market.ledger.read() as conn:
        return {(s.name, ",".join(s.labels.values())): s for s in points.series(conn) if s.count}


def sums(market: Market) -> Mapping[tuple[str, str], tuple[int, float, tuple[int, ...] | None]]:
    """Everything that is counted; what a gauge shows is its last value."""
    return {key: (s.count, round(s.total, 6), s.buckets) for key, s in series(market).items() if key[0] not in GAUGES}


def test_a_purchase_is_counted_with_its_cost_and_its_time(local_market: Market) -> None:
    local_market.bought()
    local_market.pipeline.push_metrics()
    seen = series(local_market)
    assert seen["cost", "runway"].total == pytest.approx(0.12)
    assert seen["render_time", "runway,gen4.5"].count == 1


def test_a_delivered_job_is_counted_with_what_it_cost_at_each_backend(local_market: Market) -> None:
    local_market.approved("[[runway=fail-charged]]")
    local_market.run("job-1")
    local_market.pipeline.assemble(["job-1"])
    local_market.pipeline.deliver(["job-1"])
    local_market.pipeline.settle("run-1")
    local_market.pipeline.push_metrics()
    seen = series(local_market)
    assert {key: seen[key].count for key in seen if key[0] in ("jobs", "errors", "pipeline_duration")} == {
        ("jobs", "delivered"): 1,
        ("errors", "vendor_internal,render"): 1,
        ("pipeline_duration", "delivered"): 1,
    }
    assert [seen["cost_per_job", name].total for name in ("runway", "veo3")] == pytest.approx([0.12, 0.4])
    assert ("quality_score", "quality") not in seen, "a score nobody gave is not counted"


def test_pushing_again_counts_nothing_twice(market: Market) -> None:
    market.bought()
    market.pipeline.push_metrics()
    before = sums(market)
    assert before
    market.pipeline.push_metrics()
    assert sums(market) == before
    assert market.count("metric_outbox") == 0


def test_a_push_that_dies_on_the_way_is_finished_by_the_next(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flushing, "_BATCH", 2)
    market.bought()
    waiting = market.count("metric_outbox")

    def work() -> None:
        lethal(points, "fold", after=True)
        market.pipeline.push_metrics()

    killed(work)
    assert market.count("metric_outbox") >= waiting, "its transaction was not committed"
    market.pipeline.push_metrics()
    seen = series(market)
    assert (seen["cost", "runway"].count, seen["render_time", "runway,gen4.5"].count) == (1, 1)
    assert market.count("metric_outbox") == 0


def test_processes_that_push_at_the_same_moment_count_each_point_once(market: Market) -> None:
    for n in range(3):
        market.bought(job_id=f"job-{n}")
    told = race_of_processes(3, lambda n: market.pipeline.push_metrics())
    assert all(isinstance(folded, int) for folded in told), told
    market.pipeline.push_metrics()
    seen = series(market)
    assert (seen["cost", "runway"].count, seen["render_time", "runway,gen4.5"].count) == (3, 3)
    assert market.count("metric_outbox") == 0


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_a_long_queue_is_folded_to_its_end(local_market: Market, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr(flushing, "_BATCH", batch)
    local_market.bought()
    waiting = local_market.count("metric_outbox")
    folded = local_market.pipeline.push_metrics()
    assert folded > waiting, "with a point for every gauge that changed"
    assert sum(s.count for s in series(local_market).values()) == folded
    assert local_market.count("metric_outbox") == 0


class TestGauges:
    def spend(self, market: Market) -> float:
        market.pipeline.push_metrics()
        return series(market)["spend_today", ""].last

    def test_an_empty_ledger_spent_nothing_and_everybody_is_up(self, local_market: Market) -> None:
        assert self.spend(local_market) == 0
        up = {key[1]: s.last for key, s in series(local_market).items() if key[0] == "backend_up"}
        assert up == {"runway": 1.0, "veo3": 1.0, "replicate": 1.0}

    def test_today_is_what_is_held_and_what_was_charged(self, market: Market) -> None:
        market.bought(job_id="paid")
        market.routed(job_id="held")
        assert self.spend(market) == pytest.approx(0.24)

    def test_what_is_given_back_is_not_spent_any_more(self, local_market: Market) -> None:
        local_market.bought(job_id="paid")
        local_market.routed(job_id="held")
        self.spend(local_market)
        local_market.pipeline.settle("run-1")
        assert self.spend(local_market) == pytest.approx(0.12)

    def test_yesterdays_money_is_not_todays(self, local_market: Market) -> None:
        local_market.bought()
        assert self.spend(local_market) == pytest.approx(0.12)
        local_market.sql("UPDATE caps SET key = '2026-01-01@somewhere' WHERE kind = 'day'")
        assert self.spend(local_market) == 0

    def test_who_failed_three_times_is_down_until_a_success_and_not_only_until_the_pause_is_over(self, market: Market) -> None:
        for n in range(3):
            market.bought("[[veo3=fail]]", backend="veo3", job_id=f"sick-{n}")
        market.pipeline.push_metrics()
        seen = series(market)
        assert (seen["backend_up", "runway"].last, seen["backend_up", "veo3"].last) == (1.0, 0.0)
        market.age("backend_health", "unhealthy_since")
        market.pipeline.push_metrics()
        assert series(market)["backend_up", "veo3"].last == 0.0
        market.bought(backend="veo3", job_id="well")
        market.pipeline.push_metrics()
        assert series(market)["backend_up", "veo3"].last == 1.0
