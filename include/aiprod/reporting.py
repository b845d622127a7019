"""What a delivered job tells the metrics: its time, its cost, and what was saved."""

from __future__ import annotations

from datetime import datetime

from aiprod.ledger import Connection, durations, jobs, points, purchases, results
from aiprod.ledger.purchases import Purchase
from aiprod.models import USD, Delivery

__all__ = ["delivered"]


def delivered(conn: Connection, delivery: Delivery, *, now: datetime) -> None:
    """Write the points of one delivery, in the transaction that writes it."""
    job_id, version = delivery.job_id, delivery.version
    took = durations.pipeline_seconds(conn, job_id, version, now=now)
    if took is not None:
        points.emit(conn, "pipeline_duration", took, now=now, status="delivered")
    points.emit(conn, "jobs", 1, now=now, status="delivered")
    bought = purchases.of_job(conn, job_id, version)
    for name in dict.fromkeys(p.backend for p in bought):
        spent = sum(p.charged or 0 for p in bought if p.backend == name)
        points.emit(conn, "cost_per_job", spent / USD, now=now, backend=name)
    _count_cost(conn, delivery, now=now)
    _count_savings(conn, delivery, bought, now=now)


def _count_cost(conn: Connection, delivery: Delivery, *, now: datetime) -> None:
    """The whole job's cost, judging included, against its length and against what was expected."""
    priced = jobs.priced(conn, delivery.job_id, delivery.version)
    preset = jobs.spec(conn, delivery.job_id).preset
    minutes = priced.manifest.seconds / 60
    if minutes > 0:
        points.emit(conn, "cost_per_minute", delivery.cost / USD / minutes, now=now, preset=preset)
    expected = priced.estimate.expected
    if expected > 0:
        off = delivery.cost - expected
        points.emit(conn, "estimate_error", abs(off) / expected, now=now, direction="over" if off > 0 else "under")


def _count_savings(conn: Connection, delivery: Delivery, bought: list[Purchase], *, now: datetime) -> None:
    """Shots that had their take already, and shots that went to a cheaper backend than the dearest that could make them."""
    used_again = results.reuses_of(conn, delivery.job_id, delivery.version)
    shots = [shot.index for shot in jobs.priced(conn, delivery.job_id, delivery.version).manifest.shots]
    for shot in shots:
        points.emit(conn, "cache_requests", 1, now=now, result="hit" if shot in used_again else "miss")
    if used_again:
        points.emit(conn, "savings", sum(again.saved for again in used_again.values()) / USD, now=now, reason="reuse")
    choices = {key: choice for _, key, choice in jobs.decisions_of(conn, delivery.job_id, delivery.version) if key}
    saved = 0
    for purchase in (p for p in bought if p.state == "succeeded" and p.purchase_id in choices):
        could = [
            c.quote for c in choices[purchase.purchase_id].candidates if c.quote and (c.rank or c.backend == purchase.backend)
        ]
        saved += max(0, max(could, default=0) - (purchase.charged or 0)) if len(could) > 1 else 0
    if saved:
        points.emit(conn, "savings", saved / USD, now=now, reason="routing")
