"""Where the picture changes at once: cuts, jumps, single wrong frames, sudden colour. Measured against the frames around."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiprod.qa.eye import Seen
from aiprod.qa.spans import Span, spans

__all__ = ["Changes", "changes"]

#: Steps on either side that a step is compared with.
_AROUND = 6
#: A picture that is gone again within this many seconds was never meant.
_GLITCH_SECONDS = 0.13
#: A cell breaks when it changes by so many codes at once; where more of the picture than this does, it is another picture.
_TORN_CODES, _TORN_MOST = 20.0, 0.6
_LEAST_CUT, _LEAST_JUMP = 6.0, 2.0


@dataclass(frozen=True)
class Changes:
    """Moments, in seconds: `cuts` to another picture, `jumps` within one, `glitches` (gone again at once), `colour_steps`.

    `greyed` is where colour is lost that was there before; `torn` the largest part of the picture that breaks in one step,
    calm before and after, as damage does that a decoder does not notice, and `torn_at` when.
    """

    cuts: tuple[float, ...]
    jumps: tuple[float, ...]
    glitches: tuple[Span, ...]
    colour_steps: tuple[float, ...]
    greyed: tuple[Span, ...]
    torn: float
    torn_at: tuple[Span, ...]


def changes(seen: Seen, times: NDArray[np.float64], step: float, black: NDArray[np.bool_]) -> Changes:
    """Return what changes at once; black frames are left out, they are a finding of their own."""
    dark = black[1:] | black[:-1]
    usual, most = _around(seen.change)
    structure = _structure(seen.grid)
    glitches, taken = _glitches(seen, times, step, usual, dark)
    free = ~dark & ~taken
    # Another picture is another one nearly everywhere.
    broad = (seen.cells > 3).mean(axis=1) > 0.4
    cut = (
        free
        & broad
        & (structure < 0.85)
        & (seen.change > _LEAST_CUT)
        & (seen.change > 2.5 * usual + 3)
        & (seen.change > 1.5 * most)
    )
    jump = free & ~cut & (seen.change > _LEAST_JUMP) & (seen.change > 2 * usual + 1) & (seen.change > 1.6 * most)
    # One thing that leaps is an event; a jump moves a good part of the picture.
    jump &= (structure < 0.995) & ((seen.cells > 1).mean(axis=1) > 0.2)
    jump[:2] = jump[-2:] = False
    colour = _colour_steps(seen, structure, dark | taken | cut)
    torn, torn_at = _torn(seen.grid, times, step, dark | taken)
    return Changes(
        cuts=tuple(float(at) for at in times[1:][cut]),
        jumps=tuple(float(at) for at in times[1:][jump]),
        glitches=glitches,
        colour_steps=tuple(float(at) for at in times[1:][colour]),
        greyed=_greyed(seen, times, step),
        torn=torn,
        torn_at=torn_at,
    )


def _around(change: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Median and largest of the steps around each step, itself left out; repeated frames tell nothing."""
    if not len(change):
        return change, change
    floor = 0.1 * float(np.median(change))
    padded = np.pad(change, _AROUND, constant_values=-1)
    near = np.delete(np.lib.stride_tricks.sliding_window_view(padded, 2 * _AROUND + 1), _AROUND, axis=1)
    told = near > floor
    counts, sorted_ = told.sum(axis=1), np.sort(np.where(told, near, np.inf), axis=1)
    each = np.arange(len(change))
    middle = 0.5 * (sorted_[each, np.maximum(counts - 1, 0) // 2] + sorted_[each, counts // 2 % sorted_.shape[1]])
    usual = np.where(counts > 0, middle, 0.0)
    most = np.where(told, near, 0.0).max(axis=1)
    return usual.astype(np.float32), most.astype(np.float32)


def _structure(grid: NDArray[np.float32]) -> NDArray[np.float32]:
    """How alike two neighbouring frames are laid out, whatever their brightness: 1 alike, 0 unrelated."""
    flat = grid.reshape(len(grid), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    scale = np.sqrt((flat**2).sum(axis=1)) + 1.0
    return np.asarray((flat[1:] * flat[:-1]).sum(axis=1) / (scale[1:] * scale[:-1]), np.float32)


def _glitches(
    seen: Seen, times: NDArray[np.float64], step: float, usual: NDArray[np.float32], dark: NDArray[np.bool_]
) -> tuple[tuple[Span, ...], NDArray[np.bool_]]:
    """Short excursions: the picture leaves and is back where it would have been. Also which steps they account for."""
    taken, found = np.zeros(len(seen.change), bool), []
    most = max(1, round(_GLITCH_SECONDS / step)) if step else 3
    both = np.concatenate((seen.grid[:, None], seen.chroma), axis=1).reshape(len(seen.grid), -1)
    away = np.abs(both[1:] - both[:-1]).mean(axis=1)
    calm = _around(away)[0]
    for at in np.flatnonzero((away > 2.0) & (away > 3 * calm + 1) & ~dark):
        if taken[at]:
            continue
        for length in range(1, most + 1):
            back = at + length
            if back >= len(away) or dark[at:back].any():
                break
            returned = float(np.abs(both[back + 1] - both[at]).mean())
            moved_on = 1.15 * (length + 1) * calm[at] + 0.3
            home = returned < max(0.45 * away[at], moved_on) and returned < min(away[at] / 1.3, moved_on + calm[at] + 0.2)
            if away[back] > 3 * calm[back] + 1 and home:
                taken[at], taken[back] = True, True
                found.append(Span(start=float(times[at + 1]), seconds=float(times[back + 1] - times[at + 1])))
                break
    return tuple(found), taken


def _colour_steps(seen: Seen, structure: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Steps in which the colours change at once and for good, in a picture that stays what it is."""
    flat = seen.chroma.reshape(len(seen.chroma), -1)
    whole = np.abs(np.diff(flat, axis=0)).mean(axis=1)
    usual, most = _around(whole.astype(np.float32))
    light, lightest = _around(seen.change)
    calm = (seen.change < np.maximum(2.2 * light + 3, 1.2 * lightest)) | (structure > 0.85)
    stays = np.zeros(len(whole), bool)
    for at in np.flatnonzero((whole > 1.5) & (whole > 4 * usual + 0.5) & (whole > 2 * most) & calm & ~known):
        before, after = flat[max(0, at - 2) : at + 1].mean(axis=0), flat[at + 1 : at + 4].mean(axis=0)
        stays[at] = np.abs(after - before).mean() > 0.5 * whole[at]
    return stays


def _greyed(seen: Seen, times: NDArray[np.float64], step: float) -> tuple[Span, ...]:
    """Where a clip that has colour loses it."""
    colour = np.hypot(seen.chroma[:, 0] - 128, seen.chroma[:, 1] - 128).reshape(len(seen.chroma), -1).mean(axis=1)
    usual = float(np.quantile(colour, 0.75)) if len(colour) else 0.0
    lit = seen.levels[:, 2] > 45
    if usual < 3:
        return ()
    lost = (colour < min(1.0, 0.2 * usual)) & lit
    return tuple(span for span in spans(lost, times, float(times[-1]) + step) if span.seconds >= 0.2)


def _torn(
    grid: NDArray[np.float32], times: NDArray[np.float64], step: float, known: NDArray[np.bool_]
) -> tuple[float, tuple[Span, ...]]:
    """The step in which the largest part of the picture breaks, and not all of it: cells that are calm on either side."""
    moved = np.abs(np.diff(grid, axis=0)).reshape(len(grid) - 1, -1)
    best, where = 0.0, 0
    for at in range(2, len(moved) - 2):
        broke = moved[at] > _TORN_CODES
        if known[at] or not broke.any() or broke.mean() > _TORN_MOST:
            continue
        near = np.maximum(moved[at - 2 : at].max(axis=0), moved[at + 1 : at + 3].max(axis=0))
        part = float((broke & (moved[at] > 4 * near)).mean())
        if part > best:
            best, where = part, at
    return best, (Span(start=float(times[where + 1]), seconds=step),) if best else ()
