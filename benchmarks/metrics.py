"""What figures cost: folding 10,000 points, the end of a job, a scrape, a minute of alerts, and telling Cloud Monitoring.

    python -m benchmarks.metrics [--rounds 7] [--quick]

On SQLite, in this process; CPU and wall time, the median with its range. The goals are those of the order; exits 1 when the
median of any misses its own.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiprod.alerting import watch
from aiprod.catalog import catalog
from aiprod.emulators.monitoring import Monitoring
from aiprod.ledger import Ledger, points
from aiprod.ledger.engine import now as database_now
from aiprod.metrics import flush, push, scrape
from aiprod.metrics.configured import sinks_of
from aiprod.metrics.google import CloudMonitoring
from aiprod.metrics.sinks import LedgerSink
from benchmarks.kept import keep

CHECKOUT = Path(__file__).parents[1]
#: Seconds: wall for what somebody waits for, CPU for what a job pays.
GOALS = {"fold 10,000 points": 0.5, "end of a job, CPU": 0.02, "end of a job, a mute sink": 2.0, "scrape": 0.05}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, show every median with its range, and return 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="one round")
    args = parser.parse_args(argv)
    (CHECKOUT / "var").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CHECKOUT / "var") as scratch:
        seconds = measure(f"sqlite:///{scratch}/ledger.db", 1 if args.quick else args.rounds)
    kept = keep("metrics", {"seconds": seconds, "goals": GOALS})
    for name, values in seconds.items():
        goal = f"   (goal: {GOALS[name] * 1000:g} ms)" if name in GOALS else ""
        shown = (1000 * n for n in (statistics.median(values), min(values), max(values)))
        print("{:32} {:8.1f} ms  ({:.1f}-{:.1f}, {} rounds)".format(name, *shown, len(values)) + goal)
    late = missed(seconds)
    print("\n".join(["", *(f"MISSED: {name}" for name in late), f"written to {kept}"]))
    return 1 if late else 0


def missed(seconds: Mapping[str, Sequence[float]]) -> list[str]:
    """The goals that the median missed, and those that nobody measured."""
    return [name for name, goal in GOALS.items() if not seconds.get(name) or statistics.median(seconds[name]) > goal]


def measure(url: str, rounds: int) -> dict[str, list[float]]:
    ledger, book, chance = Ledger(url), catalog(), random.Random(1)  # noqa: S311 - figures
    ledger.upgrade()
    push(ledger, book, sinks=[])
    seconds: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> None:
        begun = clock()
        work()
        seconds.setdefault(name, []).append(clock() - begun)

    for _ in range(rounds):
        emit(ledger, 10_000, chance)
        timed("fold 10,000 points", lambda: fold(ledger))
        # What a plain job of three shots leaves behind: about fifty points.
        emit(ledger, 50, chance)
        timed("end of a job, CPU", lambda: push(ledger, book, sinks=sinks_of(ledger)), time.process_time)
        emit(ledger, 50, chance)
        timed("end of a job, wall", lambda: push(ledger, book, sinks=sinks_of(ledger)))
        timed("scrape", lambda: scrape(ledger))
        timed("a minute of alerts", lambda: watch(ledger, book))
    with Monitoring() as service:
        import os

        os.environ |= {**service.environment, "GCP_PROJECT_ID": "p"}
        sink = CloudMonitoring(ledger)
        sink.gap = timedelta(0)
        sinks = [LedgerSink(ledger), sink]
        for _ in range(rounds):
            emit(ledger, 50, chance)
            # As if the last point were long ago: the service wants some seconds between two.
            service.series.clear()
            timed("a flush into Cloud Monitoring", lambda: flush(ledger, book, sinks=sinks))
            # What a job waits for where a sink does not answer.
            service.faults = ["slow"]
            emit(ledger, 50, chance)
            timed("end of a job, a mute sink", lambda: push(ledger, book, sinks=sinks))
            # The thread that was left behind gives up a moment later.
            time.sleep(0.3)
        assert service.refused == []
    return seconds


def fold(ledger: Ledger) -> None:
    while True:
        with ledger.write() as conn:
            if points.fold(conn) == 0:
                return


def emit(ledger: Ledger, count: int, chance: random.Random) -> None:
    """Points of the kinds that a job writes, over as many series as a busy house has."""
    registry = catalog().metrics
    with ledger.write() as conn:
        now = database_now(conn)
        for _ in range(count):
            name = chance.choice([name for name in registry if registry[name].kind != "gauge"])
            labels = {label: f"{label}-{chance.randrange(3)}" for label in registry[name].labels}
            points.emit(conn, name, chance.random() * 900, now=now, **labels)


if __name__ == "__main__":
    sys.exit(main())
