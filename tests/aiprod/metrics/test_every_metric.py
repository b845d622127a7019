"""Every metric that is declared is emitted by somebody: an alert on a figure that nobody writes would never fire."""

from __future__ import annotations

import pytest

from aiprod import metrics
from aiprod.errors import JobFailed
from aiprod.ledger import cursors, points, purchases
from aiprod.ledger.engine import now as database_now
from aiprod.models import Checkup
from tests import vendor
from tests.market import Market


def delivered(market: Market, prompt: str = "a lighthouse", **spec: object) -> str:
    job_id = market.approved(prompt, **spec)
    market.run(job_id)
    market.pipeline.assemble([job_id])
    market.pipeline.deliver([job_id])
    return job_id


def everything_happens(market: Market) -> None:
    """Fallback, savings, a reuse, a person's answer, a campaign, a refusal, a refund, broken books."""
    job_id = delivered(market, "[[runway=fail-charged]]")
    take = next(p.purchase_id for p in market.purchases(job_id) if p.state == "succeeded")
    shots = [{"prompt": "a", "seconds": 1}, {"prompt": "b", "seconds": 1}]
    market.approved(job_id="cheap", prefer="cost", shots=shots)
    reuse = "INSERT INTO reuses (job_id, version, shot, take_id, saved) VALUES ('cheap', 1, 1, :take, 120000)"
    market.sql(reuse, take=take)
    delivered(market, job_id="cheap", prefer="cost", shots=shots)
    asked = market.order(job_id="asked", preset="brand_campaign", run_id="run-2")
    market.pipeline.spend_question(asked, run_id="run-2", task_id="approve")
    market.pipeline.answer_spend(asked, "rejected", by="ada", run_id="run-2", task_id="approve")
    market.pipeline.settle("run-2")
    (row,) = market.pipeline.enlist([{"prompt": "a", "seconds": 1}], campaign="c", amount=10_000_000, by="ada")
    market.pipeline.carry([row], run_id="run-3")
    market.pipeline.route([row], 1)
    with market.ledger.write() as conn:
        purchases.adjust(conn, take, -1, reference="bill", now=database_now(conn))
    market.approved(job_id="late")
    market.with_budgets(day_usd=0.01, day_warn_usd=0.01)
    with pytest.raises(JobFailed, match="left"):
        market.pipeline.route(["late"], 1)
    market.sql("UPDATE caps SET reserved = reserved + 1 WHERE kind = 'job' AND key = 'cheap'")
    market.pipeline.reconcile()
    market.sql("UPDATE caps SET reserved = reserved - 1 WHERE kind = 'job' AND key = 'cheap'")


def test_nothing_is_declared_that_nobody_emits(local_market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIPROD_METRICS_SINKS", "otlp")
    monkeypatch.setenv("AIPROD_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(vendor.ListingVendor, "tells_credits", True)
    monkeypatch.setattr(vendor.ListingVendor, "checkup", lambda self: Checkup(credits=12.0))
    everything_happens(local_market)
    local_market.pipeline.push_metrics()
    with local_market.ledger.write() as conn:
        one = points.series(conn)[0]
        cursors.refuse(conn, "otlp", [cursors.Refused(one, "no")], now=database_now(conn))
    local_market.pipeline.flush_metrics()
    # Vendors are asked for credits at the end of a minute: its figures go with the next.
    local_market.pipeline.push_metrics()
    with local_market.ledger.read() as conn:
        seen = {series.name: series for series in points.series(conn) if series.count}
    assert sorted(set(metrics.CustomMetricsCollector.registry()) - set(seen)) == []
    assert seen["credits_left"].last == 12.0


def test_what_is_counted_of_a_run_is_what_happened(local_market: Market) -> None:
    everything_happens(local_market)
    local_market.pipeline.push_metrics()
    with local_market.ledger.read() as conn:
        totals = {(s.name, *s.labels.values()): s.total for s in points.series(conn) if s.count}
    expected = {
        ("jobs_created", "quick_social"): 4,
        ("jobs_created", "brand_campaign"): 1,
        ("jobs", "delivered"): 2,
        ("jobs", "rejected"): 1,
        ("fallbacks", "runway", "veo3"): 1,
        ("backend_requests", "runway"): 1,
        ("backend_requests", "replicate"): 1,
        ("backend_errors", "runway", "vendor_internal"): 1,
        ("cache_requests", "hit"): 1,
        ("cache_requests", "miss"): 2,
        ("money_refusals", "day"): 1,
        ("savings", "reuse"): 0.12,
        ("refunds", "veo3"): 0.000001,
    }
    assert {key: totals.get(key) for key in expected} == pytest.approx(expected)
    assert totals["savings", "routing"] > 0
