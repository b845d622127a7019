"""What a command that failed says, and its exit code: one line per trouble, never a traceback."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from aiprod.errors import AiprodError, ApiRefused, ApiUnreachable, JobUnknown, SpecError

__all__ = ["DONE", "NOT_THERE", "REFUSED", "WAITS", "Trouble", "lines_of", "plain"]

#: What a command ends with. Wrong usage is 2, an interrupt 130.
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
        away = isinstance(error, JobUnknown | ApiUnreachable) or (isinstance(error, ApiRefused) and error.status == 404)
        return Trouble(tuple(_one_line(problem) for problem in problems), NOT_THERE if away else REFUSED)
    if isinstance(error, OSError):
        return Trouble((f"{error.filename}: {error.strerror}" if error.filename else _one_line(str(error)),))
    # Only a command that opened the ledger can have a trouble with it; to ask must not load it.
    ledger = sys.modules.get("aiprod.ledger")
    if ledger is not None and isinstance(error, ledger.DatabaseError):
        why = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        return Trouble((f"the ledger (AIPROD_DATABASE_URL) cannot be used: {why}",))
    return None


def plain(text: str) -> str:
    """Return a text without what would move the cursor, change colours or turn the direction of writing."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _one_line(text: str) -> str:
    return plain(" ".join(text.split()))
