"""`python -m tests.safety`: storms on real processes, planted bugs, a report, and exit code 1 when a promise broke."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from tests.safety.campaign import Campaign, Tally, rage
from tests.safety.mutants import run_mutants
from tests.safety.report import broken, figures, write
from tests.safety.storm import Outcome

#: The part of a bounded run that belongs to the planted bugs, and the part of that in which one may begin.
_MUTANTS_SHARE = 0.25
_MAY_BEGIN = 0.6


def main(arguments: list[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    # Whoever ends us ends the storms, their vendors and the database with us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    databases = ("sqlite", "postgres") if given.database == "both" else (given.database,)
    mutants_wanted = not given.no_mutants
    storms_for = given.seconds * (1 - _MUTANTS_SHARE * mutants_wanted) if given.seconds else None
    campaign = Campaign(given.seed, given.schedules, databases, storms_for, vendors=given.vendors)
    began = time.monotonic()
    tally = rage(campaign, tell=_say)
    mutants: dict[str, str] = {}
    if mutants_wanted:
        seconds = given.seconds * _MUTANTS_SHARE * _MAY_BEGIN if given.seconds else None
        mutants = run_mutants(seconds, seed=given.seed, tell=lambda name, said: print(f"  planted: {name}: {said}", flush=True))
    said = figures(campaign, tally, mutants, time.monotonic() - began)
    write(said, given.out)
    wrong = broken(said)
    print(
        f"{said['schedules']} storms, {said['processes']} processes, {said['kills']} killed, {said['faults']} other faults, "
        f"{said['billable_accepts']} billable accepts, {said['parked']} parked, "
        f"{said['mutants_killed']} of {said['mutants_total']} planted bugs noticed, {said['seconds']} s"
    )
    print(
        "\n".join(["BROKEN:", *wrong])
        if wrong
        else "every promise held: overspend $0, no duplicate, nothing lost, nothing unexplained"
    )
    print(f"report: {given.out / 'report.md'}")
    return 1 if wrong else 0


def _say(outcome: Outcome, tally: Tally) -> None:
    done = sum(tally.schedules.values())
    for finding in outcome.findings:
        print(f"  {finding.kind}: {finding.text}\n    repeat: {outcome.repeat}", flush=True)
    if done % 25 == 0:
        print(f"  {done} storms, {sum(tally.kills.values())} kills, {len(tally.findings)} findings", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.safety", description=__doc__)
    schedules = int(os.environ.get("SCHEDULES") or 1_000)
    parser.add_argument("--schedules", type=int, default=schedules, help="how many storms (SCHEDULES; default 1,000)")
    parser.add_argument("--seconds", type=float, help="stop beginning storms after this long, and run a handful of planted bugs")
    parser.add_argument("--seed", type=int, default=1, help="the first storm's seed; the next ones count on")
    parser.add_argument("--database", choices=("sqlite", "postgres", "both"), default="both")
    vendors = "real: the shipped adapters; generic: some made for storms; mixed: one in ten is real"
    parser.add_argument("--vendors", choices=("mixed", "generic", "real"), default="mixed", help=vendors)
    parser.add_argument("--out", type=Path, default=Path("var/safety"), help="where report.json and report.md go")
    parser.add_argument("--no-mutants", action="store_true", help="storms only")
    return parser


if __name__ == "__main__":
    sys.exit(main())
