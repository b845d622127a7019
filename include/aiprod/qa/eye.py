"""The eye of the technical check: each frame becomes a few numbers as it passes, and is let go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from aiprod.qa.detail import Detail, look_closely
from aiprod.qa.pixels import Bytes, Picture, grid_size

__all__ = ["Eye", "Seen"]

#: A frame is looked at in full size this often, in seconds, in its middle only where it is larger than this.
_CLOSE_EVERY, _CLOSE = 1.0, (1280, 720)
#: Below this many pixels on the shorter side the flow has nothing to hold on to.
_FLOW_LEAST = 32
_QUANTILES = (0.05, 0.5, 0.95, 0.98, 0.995)


@dataclass(frozen=True)
class Seen:
    """Everything seen, one row per frame (n) or per step between two frames (n - 1). Luma in codes of limited range.

    `grid` (n x rows x columns) is mean luma per cell, `chroma` (n x 2 x rows x columns) colour, 128 for none. `levels`
    (n x 5) are the 5th, 50th, 95th, 98th and 99.5th percentile of luma. `change` and `peak` (n - 1) are the mean and the
    99.9th percentile of how much a step changes, `cells` (n - 1 x cells) the mean per cell. `departure` is the largest mean
    and peak by which any frame differs from the first. `brightest` and `darkest` are every pixel's extremes over all frames
    that are not black (None: there are none). `flows` is now and then how far the liveliest twentieth of the picture moves in
    one step, as part of its shorter side. `width`, `height` as stored; `rotation` in degrees.
    """

    width: int
    height: int
    rotation: int
    times: tuple[float | None, ...]
    grid: NDArray[np.float32]
    chroma: NDArray[np.float32]
    levels: NDArray[np.float32]
    change: NDArray[np.float32]
    peak: NDArray[np.float32]
    cells: NDArray[np.float32]
    departure: tuple[float, float]
    brightest: Bytes | None
    darkest: Bytes | None
    details: tuple[Detail, ...]
    flows: tuple[float, ...]


class Eye:
    """Reduces each frame to a few numbers as it passes; four tiles are all it keeps of the picture."""

    def __init__(self) -> None:
        self.frames = 0
        self._times: list[float | None] = []
        self._rows: dict[str, list[Any]] = {name: [] for name in ("grid", "chroma", "levels", "change", "peak", "cells")}
        self._departure = (0.0, 0.0)
        self._first: Bytes | None = None
        self._last: Bytes | None = None
        self._extremes: tuple[Bytes, Bytes] | None = None
        self._details: list[Detail] = []
        self._flows: list[float] = []
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._close_at = 0.0
        self._shape = (0, 0, 0)

    def see(self, frame: VideoFrame) -> None:
        picture = Picture(frame)
        tile = picture.tile()
        if self._first is None:
            self._first, self._shape = tile.copy(), (frame.width, frame.height, frame.rotation)
        # A picture that changes size in the middle is compared in the size it began with.
        elif tile.shape != self._first.shape:
            tile = np.asarray(cv2.resize(tile, self._first.shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)
        self._keep(picture, tile)
        if self._last is not None:
            self._compare(tile, self._last)
        self._look_closely(picture, tile, frame.time)
        self._times.append(frame.time)
        # Unscaled, a tile is the frame's own memory, which the decoder uses again.
        self._last = tile.copy() if tile.base is not None else tile
        self.frames += 1

    def seen(self) -> Seen:
        """Return what passed. Needs at least one frame."""
        width, height, rotation = self._shape
        columns, rows = grid_size(width, height)
        shapes = {
            "grid": (-1, rows, columns),
            "chroma": (-1, 2, rows, columns),
            "levels": (-1, len(_QUANTILES)),
            "cells": (-1, columns * rows // 4),
        }
        arrays = {name: np.asarray(rows, np.float32).reshape(shapes.get(name, -1)) for name, rows in self._rows.items()}
        darkest, brightest = self._extremes or (None, None)
        return Seen(
            width=width,
            height=height,
            rotation=rotation,
            times=tuple(self._times),
            departure=self._departure,
            brightest=brightest,
            darkest=darkest,
            details=tuple(self._details),
            flows=tuple(self._flows),
            **arrays,
        )

    def _keep(self, picture: Picture, tile: Bytes) -> None:
        size = grid_size(*self._shape[:2])
        # Every fourth pixel knows the tones of a picture.
        counts = cv2.calcHist([np.ascontiguousarray(tile[::2, ::2])], [0], None, [256], [0, 256]).ravel().cumsum()
        levels = np.searchsorted(counts, np.array(_QUANTILES, np.float32) * counts[-1]).astype(np.float32)
        self._rows["levels"].append(levels)
        self._rows["grid"].append(cv2.resize(tile.astype(np.float32), size, interpolation=cv2.INTER_AREA))
        chroma = picture.chroma()
        if chroma.shape[1:] != size[::-1]:
            chroma = np.full((2, size[1], size[0]), 128, np.uint8)
        self._rows["chroma"].append(chroma)
        if levels[3] > 40:
            darkest, brightest = self._extremes or (tile, tile)
            self._extremes = np.minimum(darkest, tile), np.maximum(brightest, tile)

    def _compare(self, tile: Bytes, last: Bytes) -> None:
        change = cv2.absdiff(tile, last)
        self._rows["change"].append(cv2.mean(change)[0])
        self._rows["peak"].append(_peak(change))
        columns, rows = grid_size(*self._shape[:2])
        # Half as fine as the grid: what a cell does is the mean of many pixels.
        cells = cv2.resize(change.astype(np.float32), (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)
        self._rows["cells"].append(cells)
        # How far a clip gets from where it began moves slowly: one frame in four tells.
        if self._first is not None and (self.frames < 8 or self.frames % 4 == 0):
            away = cv2.absdiff(tile, self._first)
            mean = cv2.mean(away)[0]
            self._departure = (max(self._departure[0], mean), max(self._departure[1], _peak(away)))

    def _look_closely(self, picture: Picture, tile: Bytes, at: float | None) -> None:
        now = at if at is not None else self.frames / 24
        if self._details and now < self._close_at:
            return
        self._close_at = now + _CLOSE_EVERY
        self._details.append(look_closely(picture.middle(*_CLOSE)))
        if self._last is not None and min(tile.shape) >= 2 * _FLOW_LEAST:
            before, after = (cv2.resize(t, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for t in (self._last, tile))
            across, down = cv2.split(self._flow.calc(before, after, None))  # type: ignore[call-overload]
            self._flows.append(float(np.quantile(cv2.magnitude(across, down), 0.95)) / min(before.shape))


def _peak(change: Any) -> float:
    """The 99.9th percentile, in codes."""
    counts = cv2.calcHist([change], [0], None, [256], [0, 256]).ravel().cumsum()
    return float(np.searchsorted(counts, 0.999 * counts[-1]))
