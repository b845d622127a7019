"""Stretches of a clip, and how runs of frames become them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiprod.models import Noun

__all__ = ["Span", "longest", "runs", "spans", "together"]


class Span(Noun):
    """A stretch of the clip, in seconds."""

    start: float
    seconds: float


def runs(where: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield first and one-past-last index of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], where, [False])).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def spans(where: NDArray[np.bool_], starts: Sequence[float] | NDArray[np.floating[Any]], end: float) -> tuple[Span, ...]:
    """Return the runs of True as stretches; entry i lasts from `starts[i]` to the next start, the last one to `end`."""
    edges = [*(float(start) for start in starts), end]
    return tuple(Span(start=max(0.0, edges[a]), seconds=max(0.0, edges[b] - edges[a])) for a, b in runs(where))


def longest(found: Sequence[Span]) -> float:
    """Return the length of the longest stretch in seconds, 0 when there is none."""
    return max((span.seconds for span in found), default=0.0)


def together(found: Sequence[Span]) -> float:
    """Return the length of all stretches in seconds."""
    return sum(span.seconds for span in found)
