"""Light that should be steady: flicker of the whole picture, and flashes that can hurt (WCAG 2.3.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiprod.qa.eye import Seen
from aiprod.qa.spans import Span

__all__ = ["Light", "light"]

#: Flicker is looked for in windows of this length.
_WINDOW_SECONDS = 0.5
#: A flash is a pair of opposite changes of a tenth of full luminance, the darker side below 0.8, on a quarter of the picture.
_FLASH_STEP, _FLASH_DARK, _FLASH_PART = 0.1, 0.8, 0.25
#: Saturated red by WCAG: R / (R + G + B) at least 0.8, and (R - G - B) x 320 changing by more than 20.
_RED_PART, _RED_STEP = 0.8, 20 / 320
#: Cells cross the line a frame or two apart.
_SPREAD_FRAMES = 2


@dataclass(frozen=True)
class Light:
    """`flicker` is the strongest half second: the median by which a frame's luma leaves the line between its neighbours, in
    codes; `flicker_at` where. `flashes` is the most flashes in any second, general or red, `flashes_at` that second."""

    flicker: float
    flicker_at: tuple[Span, ...]
    flashes: float
    flashes_at: tuple[Span, ...]


def light(seen: Seen, times: NDArray[np.float64], step: float, black: NDArray[np.bool_], cuts: NDArray[np.bool_]) -> Light:
    """Return how steady the light is. `cuts` (n - 1) are steps to another picture, which say nothing about it."""
    flicker, at = _flicker(seen, times, step, black, cuts)
    luminance, red = _linear(seen)
    flashes, second = max((_flashes(luminance, times, _FLASH_STEP, _FLASH_DARK), _flashes(red, times, _RED_STEP, np.inf)))
    return Light(flicker, at, flashes, (Span(start=second, seconds=1.0),) if flashes else ())


def _flicker(
    seen: Seen, times: NDArray[np.float64], step: float, black: NDArray[np.bool_], cuts: NDArray[np.bool_]
) -> tuple[float, tuple[Span, ...]]:
    """The window in which brightness leaves its line most, all cells together."""
    flat = seen.grid.reshape(len(seen.grid), -1)
    if len(flat) < 8:
        return 0.0, ()
    bent = flat[1:-1] - 0.5 * (flat[:-2] + flat[2:])
    whole = np.abs(bent.mean(axis=1))
    # Motion bends cells both ways, an exposure that flickers all of them one way.
    together = whole / (np.abs(bent).mean(axis=1) + 1e-3)
    odd = cuts[1:] | cuts[:-1] | black[:-2] | black[1:-1] | black[2:]
    strength = np.where((together > 0.5) & ~odd, whole, 0.0)
    length = min(len(strength), max(6, round(_WINDOW_SECONDS / step)) if step else 12)
    windows = np.lib.stride_tricks.sliding_window_view(strength, length)
    # A light that blinks every few frames leaves most of them alone.
    medians = np.quantile(windows, 0.4, axis=1)
    best = int(medians.argmax())
    where = (Span(start=float(times[best]), seconds=length * step),)
    return float(medians[best]), where if medians[best] > 0 else ()


def _linear(seen: Seen) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Relative luminance and WCAG's measure of saturated red (0 where it is not saturated), frames x cells."""
    n = len(seen.grid)
    y = (seen.grid.reshape(n, -1) - 16) / 219
    u, v = ((seen.chroma[:, i].reshape(n, -1) - 128) / 224 for i in (0, 1))
    rgb = np.clip(np.stack((y + 1.5748 * v, y - 0.1873 * u - 0.4681 * v, y + 1.8556 * u)), 0, 1) ** 2.2
    luminance = np.tensordot(np.array((0.2126, 0.7152, 0.0722), np.float32), rgb, 1)
    saturated = rgb[0] >= _RED_PART * (rgb.sum(axis=0) + 1e-6)
    red = np.where(saturated, np.clip(rgb[0] - rgb[1] - rgb[2], 0, 1), 0)
    return luminance.astype(np.float32), red.astype(np.float32)


def _flashes(values: NDArray[np.float32], times: NDArray[np.float64], step: float, dark: float) -> tuple[float, float]:
    """Most flashes in any second and when it starts: the pairs of opposite transitions that a quarter of the cells make."""
    if len(values) < 3 or float(np.ptp(values, axis=0).max()) < step:
        return 0.0, 0.0
    ups, downs = _transitions(values, step, dark)
    turns: list[float] = []
    last = 0
    for at in range(len(values)):
        recent = slice(max(0, at - _SPREAD_FRAMES), at + 1)
        up, down = ups[recent].sum(), downs[recent].sum()
        least = _FLASH_PART * values.shape[1]
        way = 1 if up >= least and up > down else -1 if down >= least else 0
        if way and way != last:
            turns.append(float(times[at]))
            last = way
    counts = [(sum(start <= other < start + 1 for other in turns), -start) for start in turns]
    most, start = max(counts, default=(0, 0.0))
    return float(most // 2), -start


def _transitions(values: NDArray[np.float32], step: float, dark: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many cells rise and fall by `step` from their last extreme, frame by frame."""
    extreme, way = values[0].copy(), np.zeros(values.shape[1], np.int8)
    ups, downs = np.zeros(len(values), np.int64), np.zeros(len(values), np.int64)
    for at in range(1, len(values)):
        now = values[at]
        allowed = np.minimum(now, extreme) < dark
        rise = (now - extreme >= step) & allowed & (way != 1)
        fall = (extreme - now >= step) & allowed & (way != -1)
        ups[at], downs[at] = rise.sum(), fall.sum()
        way[rise], way[fall] = 1, -1
        follow = ((way == 1) & (now > extreme)) | ((way == -1) & (now < extreme)) | rise | fall
        extreme = np.where(follow, now, extreme)
    return ups, downs
