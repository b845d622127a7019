"""`python -m benchmarks.load`: every scenario in one real Airflow, a report, and exit code 1 when a promise broke."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from benchmarks import cpu
from benchmarks.kept import measured
from benchmarks.load.campaign import campaign
from benchmarks.load.cancelling import cancelling
from benchmarks.load.library import library
from benchmarks.load.memory import memory
from benchmarks.load.report import Figure, Outcome, broken, write
from benchmarks.load.runs import concurrent, faults, isolation
from benchmarks.load.sizes import Sizes
from benchmarks.load.timeouts import timeouts
from benchmarks.load.world import World, world
from tools.airflow_env import CHECKOUT

#: In the order in which they are run. The library's needs no Airflow.
TITLES = {
    "library": "The library alone, vendors that answer at once",
    "concurrent": "Ten jobs at once, and one after the other",
    "faults": "Twenty at once, one render in twenty goes wrong",
    "isolation": "One poisoned job among twenty",
    "timeouts": "Vendors that never answer",
    "cancelling": "Cancelled in every state",
    "memory": "Memory over many jobs",
    "campaign": "A campaign of thousands",
}
SCENARIOS: dict[str, Callable[[World], list[Figure]]] = {
    "concurrent": concurrent,
    "faults": faults,
    "isolation": isolation,
    "timeouts": timeouts,
    "cancelling": cancelling,
    "memory": memory,
    "campaign": campaign,
}


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    sizes = Sizes(**{field.name: getattr(given, field.name) for field in fields(Sizes)})
    wanted = [name for name in TITLES if name in (given.only or TITLES)]
    # Whoever ends us ends the Airflow and the vendors with us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cpu.adopt_orphans()
    began, load = time.monotonic(), os.getloadavg()
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder:
        for outcome in _outcomes(wanted, Path(folder), sizes):
            outcomes.append(outcome)
            _say(outcome)
            # After each: what was measured is not lost with what comes after it.
            write(outcomes, _facts(sizes, load, time.monotonic() - began), given.out)
    wrong = broken(outcomes)
    print("\n".join(["BROKEN:", *wrong]) if wrong else "every promise held")
    print(f"report: {given.out / 'report.md'}")
    return 1 if wrong else 0


def _outcomes(wanted: Sequence[str], root: Path, sizes: Sizes) -> Iterator[Outcome]:
    """Run scenarios in their order, in one Airflow that is started when it is first needed."""
    with ExitStack() as open_:
        here: World | None = None
        for name in wanted:
            outcome, began = Outcome(name, TITLES[name]), time.monotonic()
            try:
                if name == "library":
                    (root / "library").mkdir()
                    outcome.figures = library(root / "library")
                else:
                    here = here or open_.enter_context(world(root, sizes))
                    began = time.monotonic()
                    outcome.figures = SCENARIOS[name](here)
                    _judge(outcome, here)
            except Exception as error:  # noqa: BLE001 - one scenario's trouble is told, and the next one is run
                outcome.trouble = f"{type(error).__name__}: {error}"
            outcome.seconds = time.monotonic() - began
            yield outcome


def _judge(outcome: Outcome, here: World) -> None:
    audit = here.audit()
    outcome.figures += audit.figures()
    for line in audit.lines:
        print(f"  {line}", flush=True)


def _say(outcome: Outcome) -> None:
    print(f"{outcome.title} ({outcome.seconds:.0f} s)", flush=True)
    if outcome.trouble:
        print(f"  ended early: {outcome.trouble.splitlines()[0]}", flush=True)
    for figure in outcome.figures:
        value = "not measured" if figure.value is None else f"{figure.value:,.4g} {figure.unit}"
        print(f"  {'' if figure.kept else 'BROKEN: '}{figure.name}: {value}  {figure.said}", flush=True)


def _facts(sizes: Sizes, load: Sequence[float], seconds: float) -> dict[str, Any]:
    busy = {"cores": os.cpu_count(), "load_before": [round(one, 1) for one in load], "seconds": round(seconds)}
    return {**busy, **asdict(sizes), "measured": measured()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=list(TITLES), metavar="NAME", help=f"one of {', '.join(TITLES)}; again for more"
    )
    parser.add_argument("--out", type=Path, default=CHECKOUT / "var" / "load", help="where report.json and report.md go")
    usual = Sizes()
    words = {
        "seed": "which clips meet which fault",
        "together": "jobs at once where renders dominate",
        "crowd": "jobs at once with faults, and around a poisoned one",
        "clips": "of the campaign",
        "jobs": "over which memory is looked at",
        "at_once": "of these under way",
        "long_render": "seconds at the vendor where renders dominate",
        "short_render": "seconds at the vendor elsewhere",
        "slots": "of each backend",
        "faults": "the part of renders that meets one",
    }
    for name, told in words.items():
        value = getattr(usual, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value, help=f"{told} (default: {value:g})")
    return parser


if __name__ == "__main__":
    sys.exit(main())
