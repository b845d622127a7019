"""The same storms for every design: same orders, same faults, same kills, same vendor, one score."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import text

from aiprod.ledger import Ledger
from tests.safety import points
from tests.safety.designs.score import Record, Score, score
from tests.safety.designs.shop import STEPS, Shop, make_tables
from tests.safety.ground import Ground
from tests.safety.plan import Plan
from tests.safety.storm import _Storm, caps_of

__all__ = ["OURS", "one"]

OURS = "AIPROD"


def one(plan: Plan, ground: Ground, design: type[Shop] | None) -> Score:
    """Let one storm rage over a design, or over ours (None), drain it, and score it."""
    ledger = ground.prepare(plan)
    ground.booked()
    if design is None:
        storm: _Storm = _Storm(plan, ground, ledger)
        storm.to_the_end()
        known, done = _our_records(ledger), _our_takes(ledger)
    else:
        make_tables(ledger)
        storm = _OtherStorm(plan, ground, ledger)
        shop = design(ledger, plan.catalog, storm.walker.storage, plan, storm.walker.troubles, caps_of(plan))
        storm.walker = shop  # type: ignore[assignment]
        with _their_points(design):
            storm.to_the_end()
        known, done = list(shop.records()), shop.done_at()
    accepts = [line for line in ground.booked() if line["event"] == "accept"]
    return score(accepts, known, done, caps_of(plan))


class _OtherStorm(_Storm):
    """A storm over a design that keeps other tables than ours."""

    def _unfinished(self) -> int:
        shop: Any = self.walker
        return int(shop.unfinished())


@contextmanager
def _their_points(design: type[Shop]) -> Iterator[None]:
    """Our fault points, where this design has the same step. Only forks install them, and their parent keeps its own."""
    ours = dict(points._STEPS)
    points._STEPS.clear()
    points._STEPS.update({point: (design, name) for point, name in STEPS.items()})
    try:
        yield
    finally:
        points._STEPS.clear()
        points._STEPS.update(ours)


def _our_records(ledger: Ledger) -> list[Record]:
    statement = "SELECT p.*, t.take_id FROM purchases p LEFT JOIN takes t ON t.take_id = p.purchase_id"
    with ledger.read() as conn:
        rows = [dict(row) for row in conn.execute(text(statement)).mappings()]
    return [
        Record(
            marker=row["purchase_id"],
            job=row["job_id"],
            shot=int(row["subject"]),
            decided_at=row["created_at"] / 1_000_000,
            vendor_id=row["vendor_id"],
            home=row["take_id"] is not None,
            told=row["state"] in ("unknown", "submitted") and row["parked_at"] is not None,
        )
        for row in rows
    ]


def _our_takes(ledger: Ledger) -> dict[tuple[str, int], float]:
    statement = """
        SELECT t.job_id, t.shot, q.judged_at FROM takes t JOIN qa_reports q ON q.take_id = t.take_id
        WHERE q.verdict = 'accepted'"""
    with ledger.read() as conn:
        rows = conn.execute(text(statement)).all()
    done: dict[tuple[str, int], float] = {}
    for row in rows:
        at = row.judged_at / 1_000_000
        done[row.job_id, row.shot] = min(at, done.get((row.job_id, row.shot), at))
    return done


def today() -> str:
    return datetime.now().astimezone().date().isoformat()
