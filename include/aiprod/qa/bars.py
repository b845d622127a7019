"""Bars: flat stripes along the edges of the picture that never show anything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiprod.qa.pixels import Bytes

__all__ = ["Bars", "bars"]

#: A bar does not change over time by more than this many codes, nor along itself; noise of an encoder does not.
_STEADY, _FLAT = 10, 8
#: Where a bar ends, this part of its length must begin to differ from it, by this many codes in some frame.
_EDGE_PART, _EDGE_CODES = 0.6, 8
_BLACK = 30


@dataclass(frozen=True)
class Bars:
    """How thick the bars are, as part of the stored picture's height and width."""

    top: float = 0.0
    bottom: float = 0.0
    left: float = 0.0
    right: float = 0.0


def bars(brightest: Bytes | None, darkest: Bytes | None) -> Bars:
    """Return the bars of a clip by each pixel's extremes over time. None: every frame is black, and has none."""
    if brightest is None or darkest is None or min(brightest.shape) < 16:
        return Bars()
    height, width = brightest.shape
    sides = []
    for turns in (0, 2, 1, 3):
        bright, dark = (np.rot90(tile, turns) for tile in (brightest, darkest))
        sides.append(_thickness(bright, dark))
    top, bottom, right, left = sides
    return Bars(top / height, bottom / height, left / width, right / width)


def _thickness(brightest: NDArray[np.uint8], darkest: NDArray[np.uint8]) -> int:
    """Rows of the bar at the top."""
    level = float(np.median(brightest[0]))
    if level > _BLACK:
        return 0
    high, low = np.quantile(brightest, 0.98, axis=1), np.quantile(darkest, 0.02, axis=1)
    dull = (high - low <= _STEADY) & (np.abs(high - level) <= _FLAT)
    if dull.all() or not dull[0]:
        return 0
    rows = int(np.argmin(dull))
    # The rows after may be a blend of both, and an encoder's ringing; then there is picture, all along.
    after = brightest[rows + 1 : rows + 4 + len(brightest) // 30].astype(np.int16) - level >= _EDGE_CODES
    return rows if len(after) and after.mean(axis=1).max() >= _EDGE_PART else 0
