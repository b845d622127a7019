"""Decoded frames as arrays: luma as it is, and small pictures on one scale whatever the pixel format."""

from __future__ import annotations

from typing import Any, TypeAlias

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from numpy.typing import NDArray

__all__ = ["GRID", "Bytes", "Picture", "grid_size"]

Bytes: TypeAlias = NDArray[np.uint8]

#: The longer side of the tile, the small picture in which motion and darkness are measured, is about this long.
_TILE = 320
#: Cells of the grid: along the longer and the shorter side.
GRID = (32, 18)
#: Full range is squeezed into limited range, so that black is 16 and white 235 everywhere.
_SQUEEZE, _FOOT = 219 / 255, 16
_FULL_RANGE = 2
#: Three planes with luma first; what is not here is converted first, which is slower and no less exact.
_PLANAR = frozenset(("yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p", "gray"))
_DEEP = frozenset(f"yuv{sampling}p{bits}le" for sampling in (420, 422, 444) for bits in (10, 12))


class Picture:
    """One frame: `luma` in full size and in whatever depth it came, with the ways to make it small."""

    def __init__(self, frame: VideoFrame) -> None:
        name = frame.format.name
        if name not in _PLANAR and name not in _DEEP:
            frame = frame.reformat(format="yuv420p")
            name = "yuv420p"
        self.width, self.height = frame.width, frame.height
        #: What one code of eight bits is in this depth.
        self._unit = 1 << (frame.format.components[0].bits - 8) if name in _DEEP else 1
        self._full = name.startswith("yuvj") or frame.color_range == _FULL_RANGE
        self._frame = frame
        self.luma = _plane(frame.planes[0], deep=self._unit > 1)

    def tile(self) -> Bytes:
        """Luma with both sides divided by a whole number, limited range; whole numbers are what OpenCV is fast at."""
        k = max(1, round(max(self.width, self.height) / _TILE))
        width, height = max(1, self.width // k), max(1, self.height // k)
        area = self.luma[: height * k, : width * k]
        return self._scaled(cv2.resize(area, (width, height), interpolation=cv2.INTER_AREA) if k > 1 else area)

    def chroma(self) -> Bytes:
        """Both colour differences on the grid, 2 x rows x columns, 128 for none."""
        size = grid_size(self.width, self.height)
        if len(self._frame.planes) < 3:
            return np.full((2, size[1], size[0]), 128, np.uint8)
        planes = (_plane(plane, deep=self._unit > 1) for plane in self._frame.planes[1:3])
        small = [cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in planes]
        return np.stack([cv2.convertScaleAbs(plane, alpha=1 / self._unit) for plane in small]).astype(np.uint8)

    def middle(self, width: int, height: int) -> Bytes:
        """The middle of luma in full size and limited range, at most `width` x `height`, on the grid of 16 x 16 blocks."""
        left, top = (max(0, have - most) // 2 // 16 * 16 for have, most in ((self.width, width), (self.height, height)))
        return self._scaled(self.luma[top : top + height, left : left + width])

    def _scaled(self, luma: NDArray[Any]) -> Bytes:
        alpha, beta = (_SQUEEZE / self._unit, _FOOT) if self._full else (1 / self._unit, 0)
        return luma if (alpha, beta) == (1, 0) else np.asarray(cv2.convertScaleAbs(luma, alpha=alpha, beta=beta), np.uint8)


def grid_size(width: int, height: int) -> tuple[int, int]:
    """Return columns and rows of the grid of a picture of this shape."""
    return GRID if width >= height else (GRID[1], GRID[0])


def _plane(plane: VideoPlane, *, deep: bool) -> NDArray[Any]:
    kind, line = (np.uint16, plane.line_size // 2) if deep else (np.uint8, plane.line_size)
    return np.frombuffer(memoryview(plane), kind)[: line * plane.height].reshape(plane.height, line)[:, : plane.width]
