"""How fine the picture is: sharpness, block edges, noise and posterised tones of one frame in full size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aiprod.qa.pixels import Bytes

__all__ = ["Detail", "look_closely"]

#: Immerkaer's mask: blind to anything that is linear, so what it leaves is noise.
_NOISE_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
#: A gradient that no eye sees, in codes per pixel.
_SMOOTH = 1.2
#: Noise is read where nothing is: in this quietest part of the blocks.
_QUIET_PART = 0.2
#: Bands are this many codes apart.
_BAND_CODES = range(6, 41)
#: The strongest of all edges, and the strongest few where a picture has only few.
_EDGES = (0.995, 0.9995)


@dataclass(frozen=True)
class Detail:
    """One frame from close up.

    `sharpness`: how much of the strongest contrast over 5 pixels happens within 1 pixel (0.2 a ramp, 1 a hard edge).
    `blocks`: gradient across the edges of 8 x 8 blocks over the gradient elsewhere. `noise`: standard deviation in codes.
    `comb`: how regularly some luma codes are used and those between are not, 0 to 1. None: it cannot be told.
    """

    sharpness: float | None
    blocks: float | None
    noise: float | None
    comb: float | None


def look_closely(luma: Bytes) -> Detail:
    """Measure a picture of limited range. A picture smaller than 64 x 64 has no detail to speak of."""
    if min(luma.shape) < 64:
        return Detail(None, None, None, None)
    across, down = cv2.absdiff(luma[:, 1:], luma[:, :-1]), cv2.absdiff(luma[1:], luma[:-1])
    far_across, far_down = cv2.absdiff(luma[:, 5:], luma[:, :-5]), cv2.absdiff(luma[5:], luma[:-5])
    sharpness = [_share(near, far, part) for near, far in ((across, far_across), (down, far_down)) for part in _EDGES]
    known = [share for share in sharpness if share is not None]
    return Detail(max(known) if known else None, _blocks(across, down), _noise(luma), _comb(luma))


def _share(near: NDArray[Any], far: NDArray[Any], part: float) -> float | None:
    """The strongest step over one pixel as part of the strongest over five; None where nothing has contrast."""
    contrast = _quantile(far, part)
    return _quantile(near, part) / contrast if contrast >= 12 else None


def _quantile(values: NDArray[Any], part: float) -> int:
    counts = cv2.calcHist([values], [0], None, [256], [0, 256]).ravel().cumsum()
    return int(np.searchsorted(counts, part * counts[-1]))


def _blocks(across: NDArray[Any], down: NDArray[Any]) -> float | None:
    columns = cv2.reduce(across, 0, cv2.REDUCE_AVG, dtype=cv2.CV_32F).ravel()
    rows = cv2.reduce(down, 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F).ravel()
    ratios = []
    for profile in (columns, rows):
        # Without the strongest places of each kind: one hard edge on the grid (a bar's) is no block.
        by_place = np.sort(profile[: len(profile) // 8 * 8].reshape(-1, 8), axis=0)[:-2].mean(axis=0)
        # In a smooth picture a hundredth of a code is a large part of nothing.
        ratios.append(float((by_place[7] + _SMOOTH) / (np.median(by_place[:7]) + _SMOOTH)))
    return math.sqrt(ratios[0] * ratios[1])


def _noise(luma: Bytes) -> float | None:
    height, width = luma.shape[0] // 16 * 16, luma.shape[1] // 16 * 16
    rough = cv2.convertScaleAbs(cv2.filter2D(luma[:height, :width], cv2.CV_16S, _NOISE_MASK))
    size = (width // 16, height // 16)
    rough, level = (cv2.resize(a, size, interpolation=cv2.INTER_AREA) for a in (rough, luma[:height, :width]))
    # Near black and white, noise is cut off.
    open_blocks = rough[(level > 24) & (level < 226)]
    if open_blocks.size < 20:
        return None
    return float(math.sqrt(math.pi / 2) * np.quantile(open_blocks, _QUIET_PART) / 6)


def _comb(luma: Bytes) -> float | None:
    counts = cv2.calcHist([luma], [0], None, [256], [0, 256]).ravel()
    counts[:20], counts[232:] = 0, 0
    if counts.sum() < 0.3 * luma.size:
        return None
    # Conversions leave single codes unused, which no eye sees; bands are peaks that come back at one distance.
    wide = np.convolve(counts, np.ones(3) / 3, "same")
    peaks = wide - np.convolve(counts, np.ones(33) / 33, "same")
    power = float((peaks**2).sum()) + 1e-9
    alike = [float((peaks[lag:] * peaks[: len(peaks) - lag]).sum()) / power for lag in range(max(_BAND_CODES) + 1)]
    # A smooth hump is alike at half the distance too; a comb is not.
    return max(alike[lag] - max(0.0, *alike[lag // 2 - 1 : lag // 2 + 2]) for lag in _BAND_CODES)
