"""How long one routing decision takes for 20 models, reading caps and health from the ledger.

    python -m benchmarks.routing [--decisions 3000] [--quick]

The catalogue is the shipped one with its vendors multiplied to 20 backends of one model each. A decision is what `route`
does before it writes: spec, manifest, envelope and attempts of the job, caps and health of every backend, choice.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from aiprod import choosing
from aiprod.catalog import Catalog, catalog
from aiprod.ledger import Ledger, approvals, jobs
from aiprod.models import USD, Estimate, JobSpec
from benchmarks.kept import keep
from tests.desk import HOUR, NOW, manifest

CHECKOUT = Path(__file__).parents[1]
MODELS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--decisions", type=int, default=3_000, help="per round; three rounds")
    parser.add_argument("--quick", action="store_true", help="one round of 300")
    args = parser.parse_args()
    rounds, decisions = (1, 300) if args.quick else (3, args.decisions)
    (CHECKOUT / "var").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CHECKOUT / "var") as scratch:
        report = measure(f"sqlite:///{scratch}/ledger.db", rounds, decisions)
    kept = keep("routing", report)
    print(f"{MODELS} models, {decisions} decisions x {rounds} rounds, SQLite")
    for name, values in report["milliseconds"].items():
        print(f"{name:28} {statistics.median(values):7.3f} ms  ({min(values):.3f}-{max(values):.3f})")
    print(f"\nwritten to {kept}")


def measure(url: str, rounds: int, decisions: int) -> dict[str, Any]:
    ledger, book = Ledger(url), twenty_models(catalog())
    ledger.upgrade()
    with ledger.write() as conn:
        jobs.enter(conn, "job-1", JobSpec(prompt="a lighthouse"), now=NOW)
        priced = Estimate(tariff=book.tariff, lines=(), expected=0, worst_case=100 * USD)
        jobs.write_manifest(conn, manifest(), priced, list(book.backends), by="bench", now=NOW)
        approvals.answer(
            conn,
            "job-1",
            1,
            "approved",
            sequence=1,
            amount=100 * USD,
            backends=list(book.backends),
            attempts_per_shot=3,
            expires_at=NOW + 72 * HOUR,
            by="bench",
            now=NOW,
        )
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        alone, with_order = [], []
        with ledger.read() as conn:
            for _ in range(decisions):
                begun = time.perf_counter()
                order = choosing.ordered(conn, "job-1", 1)
                read = time.perf_counter()
                seen = choosing.situation(conn, book, order, now=NOW)
                chosen, _ = choosing.decided(book, order, 1, seen)
                done = time.perf_counter()
                alone.append((done - read) * 1e3)
                with_order.append((done - begun) * 1e3)
        assert chosen.chosen is not None and len(chosen.candidates) == MODELS
        for what, waits in (("decision", sorted(alone)), ("with the job's records", sorted(with_order))):
            for name, at in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
                found.setdefault(f"{what}, {name}", []).append(waits[min(len(waits) - 1, int(len(waits) * at))])
    return {"models": MODELS, "decisions": decisions, "milliseconds": found}


def twenty_models(shipped: Catalog) -> Catalog:
    """The catalogue with 20 backends that can be bought from: copies of the embedded one, each with a quality and a price."""
    entry, free = shipped.backends["animatic"], next(p for p in shipped.prices.prices if p.backend == "animatic")
    names = [f"vendor{n:02}" for n in range(MODELS)]
    backends = {name: entry.model_copy(update={"quality_prior": 0.70 + n / 100}) for n, name in enumerate(names)}
    prices = tuple(free.model_copy(update={"backend": name}) for name in names)
    tariff = shipped.prices.model_copy(update={"prices": prices})
    changes = {"backends": backends, "fallback_order": tuple(names), "tariffs": {**shipped.tariffs, tariff.name: tariff}}
    return shipped.model_copy(update=changes)


if __name__ == "__main__":
    main()
