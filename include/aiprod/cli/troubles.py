"""What a command that failed says, and its exit code: one line per trouble, never a traceback."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from aiprod.errors import AiprodError, SpecError

__all__ = ["DONE", "NOT_THERE", "REFUSED", "WAITS", "Trouble", "lines_of"]

DONE, REFUSED, NOT_THERE, WAITS = 0, 1, 3, 4


@dataclass(frozen=True)
class Trouble:
    """What to say on stderr, line by line, and what to end with."""

    lines: tuple[str, ...]
    code: int = REFUSED


def lines_of(error: Exception) -> Trouble | None:
    """Return what an error says to a person; None for an error that nobody meant."""
    if isinstance(error, AiprodError):
        problems = error.problems if isinstance(error, SpecError) else (str(error),)
        return Trouble(tuple(_one_line(problem) for problem in problems), REFUSED)
    if isinstance(error, OSError):
        return Trouble((f"{error.filename}: {error.strerror}" if error.filename else _one_line(str(error)),))
    # Only a command that opened the ledger can have a trouble with it; to ask must not load it.
    ledger = sys.modules.get("aiprod.ledger")
    if ledger is not None and isinstance(error, ledger.DatabaseError):
        why = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        return Trouble((f"the ledger (AIPROD_DATABASE_URL) cannot be used: {why}",))
    return None


def _one_line(text: str) -> str:
    return " ".join(text.split())
