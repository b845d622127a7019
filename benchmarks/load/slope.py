"""Does memory grow with every job? A line through block medians, with the range in which its slope lies."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["BLOCKS", "Slope", "slope"]

#: One sample follows from the one before it, so that single samples would promise a range far too narrow; medians of blocks
#: are nearly independent.
BLOCKS = 10
#: Student's t for 95 % and eight degrees of freedom: ten blocks, less a line's two.
_T = 2.306


@dataclass(frozen=True)
class Slope:
    """Growth per step, and the 95 % range it lies in."""

    value: float
    least: float
    most: float


def slope(samples: Sequence[tuple[float, float]]) -> Slope:
    """Return the slope of samples (step, value), in values per step. Raises `ValueError` for fewer than two per block."""
    if len(samples) < 2 * BLOCKS:
        raise ValueError(f"{len(samples)} samples; {2 * BLOCKS} are needed")
    blocks = [samples[len(samples) * n // BLOCKS : len(samples) * (n + 1) // BLOCKS] for n in range(BLOCKS)]
    xs = [statistics.fmean(x for x, _ in block) for block in blocks]
    ys = [statistics.median(y for _, y in block) for block in blocks]
    middle = statistics.fmean(xs)
    spread = sum((x - middle) ** 2 for x in xs)
    if not spread:
        raise ValueError("every sample was taken at the same step")
    line = statistics.linear_regression(xs, ys)
    left = sum((y - line.intercept - line.slope * x) ** 2 for x, y in zip(xs, ys, strict=True))
    wide = _T * (left / (BLOCKS - 2) / spread) ** 0.5
    return Slope(line.slope, line.slope - wide, line.slope + wide)
