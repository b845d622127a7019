"""What was seen of a clip as measurements: its shape as shown, its times, and everything that `judge` may want to know."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiprod.qa.bars import Bars, bars
from aiprod.qa.changes import Changes, changes
from aiprod.qa.detail import Detail
from aiprod.qa.eye import Seen
from aiprod.qa.light import light
from aiprod.qa.spans import spans
from aiprod.qa.stills import stillness

__all__ = ["picture_facts"]

#: Black in limited range is 16, with noise around it; one small light makes a night, not a black frame.
_BLACK_MOST, _BLACK_ALL = 32, 40
#: A frame of one tone that is not black: nearly all of its pixels lie within so many codes.
_BLANK_CODES = 6
#: Beyond this many seconds a time stamp is a mistake.
_LONGEST_TIME = 1e7


#: A fade: black at an end for no longer than this many seconds, and light that comes or goes over as many.
_FADE_SECONDS = 0.5
#: By how many codes it grows at least, and the part of that which one frame may do: a cut does all of it.
_FADE_CODES, _FADE_STEP = 10.0, 0.5


def picture_facts(seen: Seen, rate: float, pixel_aspect: Fraction | None) -> dict[str, Any]:
    """Return the measurements of a picture stream. `rate` is what the container says, in frames per second, 0 if nothing."""
    times, step = _timed(seen.times, rate)
    black = (seen.levels[:, 3] <= _BLACK_MOST) & (seen.levels[:, 4] <= _BLACK_ALL)
    blank = ~black & (seen.levels[:, 4] - seen.levels[:, 0] <= _BLANK_CODES)
    end = float(times[-1]) + step
    facts: dict[str, Any] = {
        **_shape(seen, pixel_aspect),
        "frames": len(times),
        "seconds": end,
        "fps": 1 / step if len(times) > 1 and step > 0 else None,
        "mean_fps": len(times) / end if len(times) > 1 and end > 0 else None,
        "black": spans(black & ~_faded(black, seen.grid, step), times, end),
        "blank": spans(blank, times, end),
        **_look(seen),
        **_close(seen.details),
        "motion": _median(flow / step for flow in seen.flows) if step else None,
    }
    still = stillness(seen, times, step, black | blank)
    if still is None:
        return facts
    found = changes(seen, times, step, black | blank)
    steady = light(seen, times, step, black, _steps_at(found, times))
    turned = seen.rotation % 180 != 0
    return {
        **facts,
        **still.__dict__,
        "departure": seen.departure,
        "drift": _drift(seen.grid),
        **found.__dict__,
        **steady.__dict__,
        "bars": _as_shown(bars(seen.brightest, seen.darkest), turned),
    }


def _faded(black: NDArray[np.bool_], grid: NDArray[np.float32], step: float) -> NDArray[np.bool_]:
    """Which black frames are the dark end of a fade, at the start or at the end of a clip: nothing is missing there."""
    light_ = grid.reshape(len(grid), -1).mean(axis=1)
    return _fades_in(black, light_, step) | _fades_in(black[::-1], light_[::-1], step)[::-1]


def _fades_in(black: NDArray[np.bool_], light_: NDArray[np.floating[Any]], step: float) -> NDArray[np.bool_]:
    """The black frames in front that light grows out of, slowly."""
    faded = np.zeros(len(black), bool)
    within = round(_FADE_SECONDS / step) if step else 0
    first = int(black.argmin())
    if black.all() or not 0 < first <= within:
        return faded
    grown = np.diff(light_[first - 1 : first + within])
    if len(grown) > 2 and grown.sum() >= _FADE_CODES and grown.max() <= _FADE_STEP * grown.sum():
        faded[:first] = True
    return faded


def _shape(seen: Seen, pixel_aspect: Fraction | None) -> dict[str, Any]:
    square = float(pixel_aspect or 1) or 1.0
    width, height, aspect = seen.width, seen.height, seen.width * square / seen.height
    if seen.rotation % 180:
        width, height, aspect = height, width, 1 / aspect
    return {"width": width, "height": height, "aspect": aspect, "pixel_aspect": square}


def _timed(stamps: Sequence[float | None], rate: float) -> tuple[NDArray[np.float64], float]:
    """Return when each frame is shown, from 0 on and in order, and the usual step (0 when it cannot be told)."""
    usual = 1 / rate if rate > 0 else 0.0
    times = np.array([index * usual if at is None else at for index, at in enumerate(stamps)])
    # Frames come out in the order they are shown; stamps that do not are of the order in which they were stored.
    times = np.sort(times)
    times = np.clip(times - times[0], 0, _LONGEST_TIME)
    steps = np.diff(times)
    if not steps.size:
        return times, usual
    middle = float(np.median(steps))
    # Containers that count in milliseconds round each step; the mean of ordinary steps does not.
    ordinary = steps[(steps > 0.5 * middle) & (steps < 1.5 * middle)]
    return times, float(ordinary.mean()) if ordinary.size else max(middle, 0.0)


def _look(seen: Seen) -> dict[str, Any]:
    """Colour and tone: mean saturation, the middle and the light end of luma, and how far light and dark are apart, in codes."""
    colour = np.hypot(seen.chroma[:, 0] - 128, seen.chroma[:, 1] - 128).reshape(len(seen.chroma), -1).mean(axis=1)
    return {
        "colour": float(np.median(colour)),
        "brightness": float(np.median(seen.levels[:, 1])),
        "highlights": float(np.median(seen.levels[:, 3])),
        "contrast": float(np.median(seen.levels[:, 4] - seen.levels[:, 0])),
    }


def _close(details: Sequence[Detail]) -> dict[str, Any]:
    names = ("sharpness", "blocks", "noise", "comb")
    return {name: _median(value for detail in details if (value := getattr(detail, name)) is not None) for name in names}


def _median(values: Iterable[float]) -> float | None:
    known = list(values)
    # The last digits of a sum depend on where its numbers lie in memory.
    return round(float(np.median(known)), 6) if known else None


def _drift(grid: NDArray[np.float32]) -> float:
    """How far the cells of any frame get from those of the first, in codes, beyond what they differ from frame to frame.

    Grain differs as much between neighbours as between the ends of a clip; whatever moves gets away.
    """
    away, apart = (np.abs(far).reshape(len(grid) - 1, -1) for far in (grid[1:] - grid[0], np.diff(grid, axis=0)))
    return max(0.0, float(np.quantile(away, 0.99, axis=1).max() - np.median(np.quantile(apart, 0.99, axis=1))))


def _steps_at(found: Changes, times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which steps lead to another picture."""
    moments = {*found.cuts, *found.jumps, *(edge for g in found.glitches for edge in (g.start, g.start + g.seconds))}
    return np.isin(np.round(times[1:], 4), np.round(np.array(sorted(moments)), 4))


def _as_shown(found: Bars, turned: bool) -> tuple[float, float, float, float]:
    """Top, bottom, left and right as the picture is displayed."""
    stored = (found.top, found.bottom, found.left, found.right)
    return stored[2:] + stored[:2] if turned else stored
