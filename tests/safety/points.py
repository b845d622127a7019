"""Every place where a process can die, by name: wrapped from outside, in a child, so that the product carries no hooks.

`before X` and `in X` are before and after a ledger step inside its transaction, `after X` is after its commit.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiprod.backends import Backend
from aiprod.ledger import Connection, Ledger, approvals, jobs, purchases, results
from aiprod.storage import Storage

__all__ = ["AT_VENDORS", "POINTS", "RECOVERY", "STOPPABLE", "install"]

#: Steps inside a transaction: name → (module, function).
_STEPS: dict[str, tuple[Any, str]] = {
    "order": (jobs, "enter"),
    "approval": (approvals, "answer"),
    "T1 hold": (purchases, "hold"),
    "T1 holds": (purchases, "hold_all"),
    "decision": (jobs, "decide_against"),
    "T2 claim": (purchases, "claim"),
    "T3 accept": (purchases, "accept"),
    "T4 lose": (purchases, "lose"),
    "park": (purchases, "park"),
    "T5 close": (purchases, "close"),
    "T7 release": (purchases, "release"),
    "keep take": (results, "keep"),
    "verdict": (results, "judge"),
}
#: Calls outside any transaction; a backend's are those of every adapter that was imported.
_CALLS: dict[str, tuple[type, str]] = {
    "submit": (Backend, "submit"),
    "find": (Backend, "find"),
    "poll": (Backend, "poll"),
    "fetch": (Backend, "fetch"),
    "store file": (Storage, "keep"),
}

POINTS = tuple(f"{when} {step}" for step in _STEPS for when in ("before", "in", "after")) + tuple(
    f"{when} {call}" for call in _CALLS for when in ("before", "after")
)
#: Where a process talks to a vendor.
AT_VENDORS = tuple(f"{when} {call}" for call in ("submit", "find", "poll", "fetch") for when in ("before", "after"))
#: Where a process may sleep without holding a lock that everybody waits for.
STOPPABLE = tuple(p for p in POINTS if p.startswith("after ") or p.removeprefix("before ") in _CALLS)
#: What mostly happens when somebody tidies up.
RECOVERY = tuple(
    p for p in POINTS if any(word in p for word in ("lose", "park", "find", "release", "accept", "close", "keep", "store"))
)


def install(point: str, nth: int, signal_number: int) -> None:
    """Let this process get a signal when it comes to a point for the `nth` time. Only for processes of their own."""
    seen: Counter[str] = Counter()

    def reached(name: str) -> None:
        seen[name] += 1
        if name == point and seen[name] == nth:
            os.kill(os.getpid(), signal_number)

    done: list[str] = []
    for step, (owner, name) in _STEPS.items():
        setattr(owner, name, _wrapped_step(getattr(owner, name), step, reached, done))
    for call, (owner, name) in _CALLS.items():
        for cls in _family(owner):
            if name in vars(cls):
                setattr(cls, name, _wrapped_call(vars(cls)[name], call, reached))
    _wrap_commits(reached, done)


def _family(owner: type) -> list[type]:
    """A class and everything that was ever derived from it."""
    return [owner, *(one for child in owner.__subclasses__() for one in _family(child))]


def _wrapped_step(original: Callable[..., Any], step: str, reached: Callable[[str], None], done: list[str]) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        reached(f"before {step}")
        found = original(*args, **kwargs)
        reached(f"in {step}")
        done.append(step)
        return found

    return wrapped


def _wrapped_call(original: Callable[..., Any], call: str, reached: Callable[[str], None]) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        reached(f"before {call}")
        found = original(*args, **kwargs)
        reached(f"after {call}")
        return found

    return wrapped


def _wrap_commits(reached: Callable[[str], None], done: list[str]) -> None:
    original = Ledger.write

    @contextmanager
    def write(self: Ledger) -> Iterator[Connection]:
        done.clear()
        with original(self) as conn:
            yield conn
        for step in tuple(done):
            reached(f"after {step}")

    Ledger.write = write  # type: ignore[method-assign]
