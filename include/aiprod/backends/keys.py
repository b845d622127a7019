"""Where the vendors' keys come from: the environment, else whoever offered a source, such as Airflow's connections."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

__all__ = ["Keys", "Source", "forget", "keys_of", "offer"]

#: Backend name → values by the names of the environment; empty where nothing is configured.
Source = Callable[[str], Mapping[str, str]]


class _Offered(NamedTuple):
    source: Source | None


_offered = _Offered(None)


class Keys(dict[str, str]):
    """A backend's keys and addresses. Printing one never shows a value."""

    def __repr__(self) -> str:
        return f"Keys({', '.join(sorted(self))})"

    __str__ = __repr__


def offer(source: Source | None) -> None:
    """Ask `source` for backends that the environment says nothing of, from now on; each once per process."""
    global _offered
    if _offered.source is not source:
        _offered = _Offered(source)
        _asked.cache_clear()


def forget() -> None:
    """Ask the source again the next time. Nobody finds it gone meanwhile, unlike with a new `offer`."""
    _asked.cache_clear()


def keys_of(backend: str, names: Sequence[str], *, needs: Sequence[str] = ()) -> Keys:
    """Return what is known of `names` for a backend.

    One place wins whole: a key of the environment is never sent to an address that a connection names. The environment
    wins when it has any of `needs`, or nobody offered a source.
    """
    here = Keys({name: value for name in names if (value := os.environ.get(name))})
    if any(name in here for name in needs) or _offered.source is None:
        return here
    offered = _asked(backend)
    return Keys({name: value for name in names if (value := offered.get(name))}) or here


@lru_cache(maxsize=64)
def _asked(backend: str) -> Keys:
    return Keys(_offered.source(backend)) if _offered.source is not None else Keys()
