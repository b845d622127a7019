"""The eye and the ear of the technical check: each frame becomes a few numbers as it passes, and is let go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import cv2
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from aiprod.models import Noun

__all__ = ["WINDOW_SECONDS", "Ear", "Eye", "Span"]

Tile: TypeAlias = NDArray[np.uint8]

#: The longer side of the small picture in which motion and darkness are measured.
_TILE = 320
#: Audio level is measured in windows of this length, in seconds.
WINDOW_SECONDS = 0.05
#: An hour of them.
_MAX_WINDOWS = 72_000
_PLAIN_LUMA = frozenset(("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "gray"))


class Span(Noun):
    """A stretch of the clip, in seconds."""

    start: float
    seconds: float


class Eye:
    """Reduces each frame to a few numbers as it passes; two small tiles are all it keeps of the picture."""

    def __init__(self) -> None:
        self.frames = 0
        self._times: list[float | None] = []
        self._black: list[bool] = []
        self._steps: list[tuple[float, int]] = []
        self._departure = (0.0, 0)
        self._first: Tile | None = None
        self._last: Tile | None = None
        self._shape = (0, 0, 0)

    def see(self, frame: VideoFrame) -> None:
        tile = _tile(frame)
        if self._first is None:
            self._first, self._shape = tile, (frame.width, frame.height, frame.rotation)
        elif self._last is not None:
            # A picture that changes size in the middle is compared in the size it began with.
            if tile.shape != self._first.shape:
                tile = np.asarray(cv2.resize(tile, self._first.shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)
            self._steps.append(_difference(tile, self._last))
            mean, peak = _difference(tile, self._first)
            self._departure = (max(self._departure[0], mean), max(self._departure[1], peak))
        self._black.append(_is_black(tile))
        self._times.append(frame.time)
        self._last = tile
        self.frames += 1

    def facts(self, video: VideoStream) -> dict[str, Any]:
        if not self.frames:
            return {"problem": "no frame can be decoded"}
        width, height, rotation = self._shape
        shape = float(video.sample_aspect_ratio or 1) or 1.0
        aspect = width * shape / height
        if rotation % 180:
            width, height, aspect = height, width, 1 / aspect
        times, step = _timed(self._times, float(video.average_rate or video.guessed_rate or 0))
        black = np.array(self._black)
        still = _still(self._steps, black)
        seconds = times[-1] - times[0] + step
        return {
            "width": width,
            "height": height,
            "aspect": aspect,
            "frames": self.frames,
            "seconds": seconds,
            "fps": 1 / step if step > 0 else None,
            "black": tuple(_spans(black, times, seconds)),
            "frozen": tuple(_spans(np.append(still, False), times, seconds)),
            "still": float(still.mean()) if still.size else None,
            "departure": (self._departure[0], float(self._departure[1])) if still.size else None,
        }


def _tile(frame: VideoFrame) -> Tile:
    """The luma of a frame, no side longer than `_TILE`."""
    if frame.format.name not in _PLAIN_LUMA:
        frame = frame.reformat(format="yuv420p")
    plane = frame.planes[0]
    luma = np.frombuffer(memoryview(plane), np.uint8)[: plane.line_size * frame.height].reshape(frame.height, plane.line_size)[
        :, : frame.width
    ]
    scale = min(1.0, _TILE / max(frame.width, frame.height))
    size = (max(2, round(frame.width * scale)), max(2, round(frame.height * scale)))
    return np.array(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)


def _difference(one: Tile, other: Tile) -> tuple[float, int]:
    """Mean and 99.9th percentile of how much two tiles differ, in codes."""
    change = cv2.absdiff(one, other)
    return float(cv2.mean(change)[0]), _quantile(change, 0.999)


def _quantile(tile: Any, part: float) -> int:
    counts = cv2.calcHist([tile], [0], None, [256], [0, 256]).ravel().cumsum()
    return int(np.searchsorted(counts, part * counts[-1]))


def _is_black(tile: Tile) -> bool:
    """Black in limited range is 16, with noise around it; one small light makes a night, not a black frame."""
    return _quantile(tile, 0.98) <= 32 and _quantile(tile, 0.995) <= 40


def _timed(times: list[float | None], rate: float) -> tuple[list[float], float]:
    """Return when each frame is shown, and the usual step between two (0 when it cannot be told)."""
    usual = 1 / rate if rate > 0 else 0.0
    known = [index * usual if at is None else at for index, at in enumerate(times)]
    steps = np.diff(known)
    if not steps.size:
        return known, usual
    middle = float(np.median(steps))
    # Containers that count in milliseconds round each step; the mean of ordinary steps does not.
    ordinary = steps[(steps > 0.5 * middle) & (steps < 1.5 * middle)]
    return known, float(ordinary.mean()) if ordinary.size else max(middle, 0.0)


def _still(steps: list[tuple[float, int]], black: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which steps show no motion, measured against how much this clip moves otherwise. Black is not frozen."""
    if not steps:
        return np.zeros(0, bool)
    mean, peak = np.array([s[0] for s in steps]), np.array([s[1] for s in steps])
    quiet = (mean < 0.25) & (peak <= 4) & ~(black[1:] & black[:-1])
    usual = float(np.median(mean[~quiet])) if (~quiet).any() else 0.0
    still: NDArray[np.bool_] = quiet & ((mean < 0.12 * max(usual, 0.3)) | (mean < 0.06))
    # An encoder quantises one frame of a freeze anew (a key frame): that is no motion.
    alone = ~still[1:-1] & still[:-2] & still[2:] & (mean[1:-1] < 1) & (peak[1:-1] <= 16)
    still[1:-1] |= alone
    return still


def _spans(where: NDArray[np.bool_], times: Sequence[float], seconds: float) -> Iterator[Span]:
    """Yield the runs of True, one value per frame, as stretches of the clip."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], where, [False])).astype(np.int8)))
    ends = [*(at - times[0] for at in times), seconds]
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        yield Span(start=max(0.0, ends[start]), seconds=max(0.0, ends[end] - ends[start]))


class Ear:
    """Measures how loud the sound is, window by window, as it passes."""

    def __init__(self) -> None:
        self.levels: list[float] = []
        self._rest = np.zeros((1, 0), np.float32)

    def hear(self, frame: AudioFrame) -> None:
        if len(self.levels) >= _MAX_WINDOWS:
            return
        raw = frame.to_ndarray()
        sound = raw.astype(np.float32)
        if raw.dtype.kind in "iu":
            half = float(2 ** (8 * raw.dtype.itemsize - 1))
            sound = (sound - (half if raw.dtype.kind == "u" else 0)) / half
        if not frame.format.is_planar:
            sound = sound.reshape(-1, frame.layout.nb_channels).T
        sound = np.nan_to_num(sound, posinf=1, neginf=-1)
        if sound.shape[0] == self._rest.shape[0]:
            sound = np.concatenate([self._rest, sound], axis=1)
        window = max(1, round(frame.sample_rate * WINDOW_SECONDS))
        whole = sound.shape[1] // window
        blocks = sound[:, : whole * window].reshape(sound.shape[0], whole, window)
        power = np.square(blocks, dtype=np.float64).mean(axis=2).max(axis=0)
        self.levels.extend(float(level) for level in 10 * np.log10(np.maximum(power, 1e-20)))
        self._rest = sound[:, whole * window :]
