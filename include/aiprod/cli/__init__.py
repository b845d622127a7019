"""`aiprod`: the library from a shell. Each command says what it did, or in one line why not."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from aiprod.cli import budget, costs, doctor, emulate, jobs, ledger, parked
from aiprod.errors import AiprodError, SpecError
from aiprod.ledger import DatabaseError

__all__ = ["main"]

#: One module per subject; each adds its commands to the parser and says what they print.
_SUBJECTS = (ledger, doctor, jobs, parked, budget, costs, emulate)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0 done, 1 refused or in trouble, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="aiprod", description="Orders finished videos from paid AI backends.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for subject in _SUBJECTS:
        subject.add(commands)
    args = parser.parse_args(argv)
    run: Callable[[argparse.Namespace], int | None] = args.run
    try:
        return run(args) or 0
    except AiprodError as error:
        for problem in error.problems if isinstance(error, SpecError) else (str(error),):
            print(f"aiprod: {' '.join(problem.split())}", file=sys.stderr)
    except DatabaseError as error:
        why = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        print(f"aiprod: the ledger (AIPROD_DATABASE_URL) cannot be used: {why}", file=sys.stderr)
    return 1
