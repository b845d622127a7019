"""What the library needs by itself: ten jobs with vendors that answer at once, and the decision to fall back. No Airflow.

In a process of its own, `python -m benchmarks.load.library FOLDER`: it sets up other vendors than the scenarios around it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.load.report import Figure

__all__ = ["library"]

_JOBS, _ROUNDS, _FALLBACKS = 10, 5, 100
ORDER = {"prompt": "a lake at dawn", "preset": "quick_social", "seconds": 1, "audio": False}
_STEPS = ("enter", "route", "render", "score", "assemble", "review", "deliver", "settle")


def library(folder: Path) -> list[Figure]:
    """Run the measurement and say what it found."""
    command = [sys.executable, "-m", "benchmarks.load.library", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    found = json.loads(done.stdout.splitlines()[-1])
    steps = ", ".join(f"{step} {found['steps'][step] * 1e3:.0f}" for step in _STEPS)
    least, most = min(found["ten"]), max(found["ten"])
    return [
        Figure(
            "seconds for 10 jobs, order to delivery",
            statistics.median(found["ten"]),
            "s",
            most=1,
            said=f"{least:.2f} to {most:.2f}; ms: {steps}",
        ),
        Figure(
            "of these 10 delivered", found["delivered"], least=_JOBS * _ROUNDS, most=_JOBS * _ROUNDS, said=f"{_ROUNDS} rounds"
        ),
        Figure("fallback decision and hold, middle", found["fallback"]["p50"], "ms", most=100, goal="≤ 1"),
        Figure("fallback decision and hold, p99", found["fallback"]["p99"], "ms", most=100),
        Figure(
            "fallback decision alone, middle",
            found["decision"]["p50"],
            "ms",
            most=100,
            goal="≤ 1",
            said="facts read, choice made",
        ),
        Figure("duplicates", found["duplicates"], most=0),
        Figure("balances that do not add up", len(found["unbalanced"]), most=0, said="; ".join(found["unbalanced"])),
    ]


def measure(folder: Path) -> dict[str, Any]:
    """Set up instant vendors in `folder`, and measure."""
    # Only here: nobody who reports on this needs a ledger or vendors for it.
    from aiprod.ledger import Ledger
    from aiprod.pipeline import Pipeline
    from tests import vendor
    from tests.auditor import audit
    from tests.catalogue import write_catalogue

    money = {"day_usd": 100_000, "day_warn_usd": 90_000}
    os.environ |= {
        "AIPROD_VAR_DIR": str(folder),
        "AIPROD_DATABASE_URL": f"sqlite:///{folder / 'ledger.db'}",
        "AIPROD_CONFIG_DIR": str(write_catalogue(folder / "config", strikes=10_000, budgets=money)),
        "AIPROD_STORAGE_URL": (folder / "storage").as_uri(),
        vendor.BOOKS: str(folder / "books"),
    }
    os.environ.pop("AIPROD_DRY_RUN", None)
    Ledger(os.environ["AIPROD_DATABASE_URL"]).upgrade()
    pipeline = Pipeline()
    _ten(pipeline, "warm")
    rounds = [_ten(pipeline, f"ten-{n}") for n in range(_ROUNDS)]
    fallback, decision = _fallback(pipeline)
    keys = [str(accept["key"]) for accept in vendor.accepts(folder / "books")]
    with pipeline.ledger.read() as conn:
        wrong = audit(conn)
    return {
        "ten": [sum(steps.values()) for steps, _ in rounds],
        "steps": {step: statistics.median(steps[step] for steps, _ in rounds) for step in _STEPS},
        "delivered": sum(made for _, made in rounds),
        "fallback": _quantiles(fallback),
        "decision": _quantiles(decision),
        "duplicates": len(keys) - len(set(keys)),
        "unbalanced": wrong,
    }


def _ten(pipeline: Any, name: str) -> tuple[dict[str, float], int]:
    """Ten jobs through every step, as one run carries them; return seconds by step, and how many were delivered."""
    from aiprod.models import USD

    took: dict[str, float] = {}
    ids: list[str] = []

    def timed(step: str, do: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        found = do()
        took[step] = time.perf_counter() - began
        return found

    def enter() -> list[str]:
        entered = pipeline.enlist([ORDER] * _JOBS, campaign=name, amount=1_000 * USD, by="load")
        return list(pipeline.carry(entered, run_id=name))

    ids = timed("enter", enter)
    backends = timed("route", lambda: pipeline.route(ids, 1))
    timed("render", lambda: [pipeline.render(ids, one, 1) for one in backends])
    timed("score", lambda: pipeline.score(ids, 1))
    timed("assemble", lambda: pipeline.assemble(ids))
    timed("review", lambda: pipeline.reviews(ids))
    made = timed("deliver", lambda: pipeline.deliver(ids))
    timed("settle", lambda: pipeline.settle(name))
    return took, len(made)


def _fallback(pipeline: Any) -> tuple[list[float], list[float]]:
    """Milliseconds from knowing that a render failed to the next vendor's hold being committed; and of the choice alone."""
    from aiprod import choosing
    from aiprod.ledger.engine import now as database_now
    from aiprod.models import USD

    fails = {**ORDER, "prompt": "a lake [[runway=fail]] [[veo3=fail]]"}
    ids = pipeline.carry(pipeline.enlist([fails] * _FALLBACKS, campaign="fall", amount=1_000 * USD, by="load"), run_id="fall")
    whole, alone = [], []
    for job_id in ids:
        (first,) = pipeline.route([job_id], 1)
        pipeline.render([job_id], first, 1)
        with pipeline.ledger.read() as conn:
            began = time.perf_counter()
            order, now = choosing.ordered(conn, job_id, 1), database_now(conn)
            found = choosing.situation(conn, pipeline.catalog, order, now=now)
            choosing.decided(pipeline.catalog, order, 1, found)
            alone.append((time.perf_counter() - began) * 1e3)
        began = time.perf_counter()
        (second,) = pipeline.route([job_id], 2)
        whole.append((time.perf_counter() - began) * 1e3)
        if second == first:
            raise RuntimeError(f"{job_id} did not fall back: {first} again")
    return whole, alone


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {"p50": statistics.median(ordered), "p99": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]}


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))
