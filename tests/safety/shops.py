"""The three paid vendors as shipped, for storms: their own adapters and SDKs, prices and models, and a vendor that misbehaves.

Everybody's wires are served by `aiprod.emulators`; what a storm changes is patience, slots, and what goes wrong.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Mapping

from aiprod.backends.reaching import certificates
from aiprod.catalog import BackendEntry

__all__ = ["SECONDS", "entries", "faults", "shipped_adapters"]

_LOADED = ("aiprod.backends.runway", "aiprod.backends.veo3", "aiprod.backends.veo3_wire", "aiprod.backends.replicate", "runwayml")
#: A length that every model makes; Veo snaps it up. One, since every shape of film is drawn first.
SECONDS = 5
#: What can go wrong on these vendors' wires, by how often it is drawn.
_FAULTS: tuple[tuple[str, int], ...] = (
    ("lose", 6), ("lose:500", 4), ("reset", 5), ("lose|ok", 4), ("reset|ok", 4), ("reset|lose", 2), ("refuse:503", 3),
    ("refuse:429", 2), ("refuse:503|ok", 2), ("lose,lag:60,slow:60", 4), ("late:20", 1), ("fail", 3), ("fail-charged", 3),
    ("aborted", 1), ("slow:40", 4), ("hang", 1), ("vanish:1", 2), ("busy:503", 2), ("gone", 2), ("expired", 2),
    ("bill:1.3", 4), ("slow:40,bill:1.3", 2),
)  # fmt: skip
#: Real seconds. A vendor that does not answer costs a storm this much; a crowded machine must not look like one.
_TIMEOUT = 6.0


def shipped_adapters() -> None:
    """Load the adapters with their SDKs, and read the certificates: a second that every process born from now on saves."""
    for name in _LOADED:
        importlib.import_module(name)
    certificates()


def entries(rng: random.Random, shipped: Mapping[str, BackendEntry], names: tuple[str, ...]) -> dict[str, BackendEntry]:
    """The shipped backends with a storm's patience, and few slots in some storms."""
    changes = {
        "slots": rng.choice((1, 2, 20)), "submit_timeout_seconds": _TIMEOUT, "max_run_seconds": 240, "deadline_seconds": None,
        "poll_seconds": 1,
    }  # fmt: skip
    return {**shipped, **{name: shipped[name].model_copy(update=changes) for name in names}}


def faults(backend: str) -> tuple[tuple[str, int], ...]:
    """What can go wrong at a backend. Vertex tells nobody what it billed: more than the quote shows when its bill is imported."""
    return tuple(pair for pair in _FAULTS if backend != "veo3" or "bill" not in pair[0])
