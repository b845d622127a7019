"""The planted bugs of `tests/mutants`, run two at a time: a proof that nobody can fail proves nothing."""

from __future__ import annotations

import queue
import random
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.mutants.planted import PLANTED, Mutant
from tests.mutants.planting import MovedOn, Runner, plant

__all__ = ["run_mutants"]


def run_mutants(
    seconds: float | None, *, seed: int, at_once: int = 2, tell: Callable[[str, str], Any] = lambda name, said: None
) -> dict[str, str]:
    """Run the tests that promise to notice each bug; return `killed`, `survived` or what went wrong, by name.

    With `seconds` a handful drawn by `seed`: as many as begin within that time.
    """
    order: list[Mutant] = list(PLANTED)
    if seconds is not None:
        random.Random(seed).shuffle(order)  # noqa: S311 - repeatable on purpose
    give_up = None if seconds is None else time.monotonic() + seconds
    runners = [Runner() for _ in range(at_once)]
    free: queue.SimpleQueue[Runner] = queue.SimpleQueue()
    for runner in runners:
        free.put(runner)

    def one(mutant: Mutant) -> tuple[str, str] | None:
        if give_up is not None and time.monotonic() > give_up:
            return None
        runner = free.get()
        try:
            said = _run(runner, mutant)
        finally:
            free.put(runner)
        tell(mutant.name, said)
        return mutant.name, said

    try:
        with ThreadPoolExecutor(at_once) as pool:
            return dict(found for found in pool.map(one, order) if found is not None)
    finally:
        for runner in runners:
            runner.close()


def _run(runner: Runner, mutant: Mutant) -> str:
    with tempfile.TemporaryDirectory(prefix="aiprod-mutant-") as scratch:
        try:
            ran = runner.run(plant(mutant, Path(scratch)), mutant.noticed_by, Path(scratch))
        except (MovedOn, TimeoutError, RuntimeError) as error:
            return f"did not run: {error}"
    # 1: tests failed. Anything else than 0 means that they did not run, and noticed nothing.
    return {0: "survived", 1: "killed"}.get(ran.code, f"did not run: pytest ended with {ran.code}")
