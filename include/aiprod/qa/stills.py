"""Where the picture stands still: frozen stretches, repeated frames, and a part of the picture that is stuck.

Everything is measured against how much this very clip moves otherwise: an encoder, grain and a hand never leave two frames alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiprod.qa.eye import Seen
from aiprod.qa.spans import Span, runs, spans

__all__ = ["Stillness", "stillness"]

#: Beats of this length are looked at under grain: cells of the grid average it away.
_BEAT_SECONDS = 0.17
#: A frozen stretch is one of at least this many seconds; shorter ones are repeated frames.
_FREEZE_SECONDS = 0.3
#: The part of the picture that must stop in one frame to be called stuck, and for how long.
_STUCK_PART, _STUCK_SECONDS = 0.15, 0.4
#: A cell whose colour changes by more than this has moved.
_TINT_CODES = 4.0
#: Where the steps that move change less than this on the mean, in codes, a slow push or somebody who pauses looks to an encoder
#: like a still for some frames: only repeats that stand alone between two that move are counted there.
_FAINT_CODES = 0.25
#: Steps on either side that a repeated frame is compared with.
_NEAR = 4


@dataclass(frozen=True)
class Stillness:
    """`still` is the part of steps without motion; `frozen` stretches of them, grain or not; `repeats` the part of the other
    steps that repeat a frame, `lone_repeats` how many of those stand alone between two that move; `repeated` says where;
    `stuck` is the largest part of the picture that stops while the rest moves on, and `stuck_at` where."""

    still: float
    frozen: tuple[Span, ...]
    repeats: float
    lone_repeats: int
    repeated: tuple[Span, ...]
    stuck: float
    stuck_at: tuple[Span, ...]


def stillness(seen: Seen, times: NDArray[np.float64], step: float, black: NDArray[np.bool_]) -> Stillness | None:
    """Return where it stands still, or None for fewer than two frames. `step` is the usual seconds per frame."""
    if len(times) < 2:
        return None
    dark = black[1:] & black[:-1]
    # Some things move in colour alone.
    tinted = np.abs(np.diff(seen.chroma, axis=0)).reshape(len(dark), -1).max(axis=1) > _TINT_CODES
    still = _without_motion(seen.change, seen.peak, dark) & ~tinted
    under_grain = _under_grain(seen, step, dark) & ~tinted
    gaps = np.diff(times) > max(_FREEZE_SECONDS, 4 * step)
    rest = still | under_grain | gaps
    end = float(times[-1])
    frozen = tuple(span for span in spans(rest, times[:-1], end) if span.seconds >= _FREEZE_SECONDS - 1e-6)
    long = np.zeros_like(still)
    for first, last in runs(rest):
        long[first:last] = times[last] - times[first] >= _FREEZE_SECONDS - 1e-6
    repeat = still & ~long
    moving = np.count_nonzero(~long & ~dark)
    lone = _alone(repeat, seen.change)
    moves = seen.change[~still & ~dark]
    faint = bool(len(moves)) and float(np.median(moves)) < _FAINT_CODES
    repeats = lone if faint else int(repeat.sum())
    stuck, stuck_at = _stuck(seen, rest | dark, times, step)
    return Stillness(
        still=float(still.mean()),
        frozen=frozen,
        repeats=float(repeats / moving) if moving else 0.0,
        lone_repeats=lone,
        repeated=spans(repeat, times[:-1], end),
        stuck=stuck,
        stuck_at=stuck_at,
    )


def _without_motion(mean: NDArray[np.float32], peak: NDArray[np.float32], dark: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which steps show no motion. Black is not frozen."""
    quiet = (mean < 0.25) & (peak <= 4) & ~dark
    moving = ~quiet & ~dark
    usual, lively = (float(np.median(values[moving])) if moving.any() else 0.0 for values in (mean, peak))
    # Where much moves, an encoder that saves bits leaves more noise on a still.
    quiet |= (mean < 0.04 * usual) & (peak < 0.1 * lively) & (mean < 0.6) & ~dark
    still: NDArray[np.bool_] = quiet & ((mean < 0.12 * max(usual, 0.3)) | (mean < 0.06))
    still |= _hesitates(mean, peak) & ~dark
    # An encoder quantises one frame of a freeze anew (a key frame): that is no motion.
    alone = ~still[1:-1] & still[:-2] & still[2:] & (mean[1:-1] < 1) & (peak[1:-1] <= 16)
    still[1:-1] |= alone
    return still


def _hesitates(mean: NDArray[np.float32], peak: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which steps are next to nothing between steps that move: a repeated frame that was encoded once more."""
    if len(mean) < 2 * _NEAR + 1:
        return np.zeros(len(mean), bool)
    usual, lively = (
        np.median(_windows(np.pad(values, _NEAR, mode="reflect"), 2 * _NEAR + 1), axis=-1) for values in (mean, peak)
    )
    next_to_nothing = (mean < np.minimum(0.22 * usual, 1.5)) & (peak < np.maximum(0.3 * lively, 5.5))
    found: NDArray[np.bool_] = (usual > 0.25) & next_to_nothing
    found[0] = found[-1] = False
    return found


def _windows(values: NDArray[Any], length: int) -> NDArray[Any]:
    """Every stretch of so many rows, the stretch as the last axis."""
    return np.lib.stride_tricks.sliding_window_view(values, length, axis=0)


def _under_grain(seen: Seen, step: float, dark: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which steps are noise over one picture: its cells stay where they are while the clip's otherwise move."""
    beat = max(2, round(_BEAT_SECONDS / step)) if step else 4
    found = np.zeros(len(dark), bool)
    if len(dark) < 2 * beat:
        return found
    far, near = (_moved(seen.grid, lag) for lag in (beat, 1))
    near = np.array([np.median(near[at : at + beat]) for at in range(len(far))])
    # Grain is as different after one frame as after many; what moves gets away.
    alike = (far < 1.6 * near + 0.15) & (far < min(2.5, 0.3 * float(np.median(far))))
    for start in np.flatnonzero(alike):
        found[start : start + beat] = True
    # One small thing that moves is no grain: its change is far above the mean.
    return found & (seen.peak <= np.maximum(5, 15 * seen.change)) & ~dark


def _moved(grid: NDArray[np.float32], lag: int) -> NDArray[np.float32]:
    """How much the liveliest cells change over so many frames."""
    return np.asarray(np.quantile(np.abs(grid[lag:] - grid[:-lag]).reshape(len(grid) - lag, -1), 0.99, axis=1), np.float32)


def _alone(repeat: NDArray[np.bool_], change: NDArray[np.float32]) -> int:
    """How many repeats stand between two steps that move well."""
    inner = repeat[1:-1] & ~repeat[:-2] & ~repeat[2:]
    well = np.minimum(change[:-2], change[2:]) > np.maximum(4 * change[1:-1], 0.2)
    return int(np.count_nonzero(inner & well))


def _stuck(seen: Seen, rest: NDArray[np.bool_], times: NDArray[np.float64], step: float) -> tuple[float, tuple[Span, ...]]:
    """The largest part of the picture that stops in one frame while the rest goes on, and when."""
    before, after = (max(least, round(long / step)) if step else 2 * least for least, long in ((3, 0.2), (4, _STUCK_SECONDS)))
    cells, steps = seen.cells, len(seen.cells) - before - after + 1
    if steps < 1:
        return 0.0, ()
    places = np.arange(before, before + steps)
    past, future = _windows(cells, before)[:steps], _windows(cells, after)[before:]
    moved = np.median(past, axis=-1)
    # One step in five may be an encoder's second thought.
    stops = np.sort(future, axis=-1)[..., -1 - after // 5] < np.minimum(0.25, 0.2 * moved)
    # A fade or a flicker that ends stops everywhere at once, and was no motion.
    lit = np.median(_windows(_lit(seen), before)[:steps], axis=-1)
    stopped = stops & (np.minimum(moved, cells[before - 1 : before - 1 + steps]) > 0.35) & (lit < 0.6)
    part = stopped.mean(axis=1)
    # Where everything stands, or another picture begins, no part is stuck.
    whole = cells.mean(axis=1)
    odd = _windows(rest, after)[before:].any(axis=-1) | rest[places - 1]
    odd |= whole[places - 1] > 2 * np.median(_windows(whole, before)[:steps], axis=-1)
    odd |= (future.mean(axis=-1) > 0.35).mean(axis=1) < 0.1
    part[odd] = 0.0
    where = int(part.argmax())
    best, start, end = float(part[where]), times[places[where]], times[places[where] + after - 1]
    return best, (Span(start=float(start), seconds=float(end - start + step)),) if best >= _STUCK_PART else ()


def _lit(seen: Seen) -> NDArray[np.float32]:
    """How much of each cell's change is all of it getting lighter or darker: 1 for a fade, near 0 for motion."""
    n, rows, columns = seen.grid.shape
    coarse = seen.grid.reshape(n, rows // 2, 2, columns // 2, 2).mean(axis=(2, 4)).reshape(n, -1)
    return np.asarray(np.abs(np.diff(coarse, axis=0)) / (seen.cells + 0.05), np.float32)
