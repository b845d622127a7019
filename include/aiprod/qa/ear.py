"""The ear of the technical check: sound becomes levels, dropouts, clipping and loudness (EBU R128) as it passes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from aiprod.qa.loudness import Loudness
from aiprod.qa.spans import Span, spans

__all__ = ["WINDOW_SECONDS", "Ear", "Heard"]

#: Level is measured in windows of this length, in seconds; dropouts in a fifth of it.
WINDOW_SECONDS = 0.05
_FINE = 5
#: An hour of them.
_MAX_WINDOWS = 72_000
#: Samples this close to full scale, this many in a row, are clipped.
_HOT, _HOT_RUN = 0.985, 3
#: A dropout falls this far below the sound on both sides, in dB, for no longer than this many seconds.
_DROP_DB, _DROP_SECONDS, _DROP_FLOOR_DB = 35.0, 1.0, -65.0
#: Sound that is no louder than this before it stops has faded.
_DROP_FROM_DB = -50.0
_SILENT_POWER = 1e-20


@dataclass(frozen=True)
class Heard:
    """`levels` are dBFS per window of `WINDOW_SECONDS`, the louder channel; `channels` dBFS of each channel over all of it.

    `start` and `seconds` say when there is sound in the stream, `dropouts` where it breaks off and comes back at once,
    `clipped` which part of the samples is cut off at full scale, `lufs` integrated loudness (None: too short or too quiet).
    """

    levels: tuple[float, ...] = ()
    channels: tuple[float, ...] = ()
    start: float = 0.0
    seconds: float = 0.0
    dropouts: tuple[Span, ...] = ()
    clipped: float = 0.0
    lufs: float | None = None


class Ear:
    """Measures sound frame by frame; of the samples it keeps less than a second."""

    def __init__(self) -> None:
        self._rate = 0
        self._start: float | None = None
        self._samples = 0
        self._fine: list[float] = []
        self._rest = np.zeros((1, 0), np.float32)
        self._energy = np.zeros(1)
        self._clipped = 0
        self._loudness: Loudness | None = None

    def hear(self, frame: AudioFrame) -> None:
        if len(self._fine) >= _MAX_WINDOWS * _FINE:
            return
        sound = _samples(frame)
        if self._start is None:
            self._start, self._rate = float(frame.time or 0.0), frame.sample_rate
            self._rest, self._energy = np.zeros((sound.shape[0], 0), np.float32), np.zeros(sound.shape[0])
            self._loudness = Loudness(frame.sample_rate, sound.shape[0])
        if sound.shape[0] != self._rest.shape[0] or frame.sample_rate != self._rate:
            # Sound that changes its shape in the middle is measured as far as it goes.
            return
        missing = 0.0 if frame.time is None else frame.time - self._start - self._samples / self._rate
        if WINDOW_SECONDS / 2 < missing < _MAX_WINDOWS * WINDOW_SECONDS:
            # What nobody sent is heard as silence.
            self._take(np.zeros((sound.shape[0], round(missing * self._rate)), np.float32))
        self._take(sound)

    def heard(self) -> Heard:
        if self._start is None:
            return Heard()
        whole = len(self._fine) // _FINE * _FINE
        fine = np.array(self._fine[:whole]).reshape(-1, _FINE)
        return Heard(
            levels=tuple(_db(power) for power in fine.mean(axis=1)),
            channels=tuple(_db(energy / max(1, self._samples)) for energy in self._energy),
            start=self._start,
            seconds=self._samples / self._rate,
            dropouts=_dropouts(np.array(self._fine), self._start),
            clipped=self._clipped / max(1, self._samples * len(self._energy)),
            lufs=self._loudness.integrated() if self._loudness else None,
        )

    def _take(self, sound: NDArray[np.float32]) -> None:
        self._samples += sound.shape[1]
        self._energy += np.square(sound, dtype=np.float64).sum(axis=1)
        self._clipped += _hot(sound)
        if self._loudness is not None:
            self._loudness.hear(sound)
        sound = np.concatenate([self._rest, sound], axis=1)
        window = max(1, round(self._rate * WINDOW_SECONDS / _FINE))
        whole = sound.shape[1] // window
        blocks = sound[:, : whole * window].reshape(sound.shape[0], whole, window)
        self._fine.extend(np.square(blocks, dtype=np.float64).mean(axis=2).max(axis=0).tolist())
        self._rest = sound[:, whole * window :]


def _samples(frame: AudioFrame) -> NDArray[np.float32]:
    """Channels x samples, full scale 1."""
    raw = frame.to_ndarray()
    sound = raw.astype(np.float32)
    if raw.dtype.kind in "iu":
        half = float(2 ** (8 * raw.dtype.itemsize - 1))
        sound = (sound - (half if raw.dtype.kind == "u" else 0)) / half
    if not frame.format.is_planar:
        sound = sound.reshape(-1, frame.layout.nb_channels).T
    if not np.isfinite(sound.sum()):
        sound = np.nan_to_num(sound, posinf=1, neginf=-1)
    return np.clip(sound, -16, 16)


def _db(power: float) -> float:
    return float(10 * np.log10(max(power, _SILENT_POWER)))


def _hot(sound: NDArray[np.float32]) -> int:
    """How many samples are part of a run at full scale."""
    hot = np.abs(sound) >= _HOT
    if not hot.any():
        return 0
    count = 0
    for channel in hot:
        edges = np.flatnonzero(np.diff(np.concatenate(([0], channel.astype(np.int8), [0]))))
        count += sum(int(end - start) for start, end in zip(edges[::2], edges[1::2], strict=True) if end - start >= _HOT_RUN)
    return count


def _dropouts(fine: NDArray[np.float64], start: float) -> tuple[Span, ...]:
    """Where sound breaks off within a window or two and comes back the same way."""
    window = WINDOW_SECONDS / _FINE
    levels = 10 * np.log10(np.maximum(fine, _SILENT_POWER))
    quiet = levels < _DROP_FLOOR_DB
    times = start + np.arange(len(levels)) * window
    found = []
    for span in spans(quiet, times, start + len(levels) * window):
        first = round((span.start - start) / window)
        last = first + round(span.seconds / window)
        before, after = levels[max(0, first - 4) : max(0, first - 1)], levels[last + 1 : last + 4]
        if span.seconds <= _DROP_SECONDS and len(before) == 3 and len(after) == 3:
            floor, around = float(levels[first:last].mean()), float(min(np.median(before), np.median(after)))
            if around >= max(floor + _DROP_DB, _DROP_FROM_DB) and span.seconds >= 2 * window - 1e-9:
                found.append(span)
    # A track that keeps stopping was played that way.
    return tuple(found) if not _rhythmic(found) else ()


def _rhythmic(found: list[Span]) -> bool:
    """Whether breaks come so often and so evenly that they are the sound."""
    steps = np.array([b.start - a.start for a, b in pairwise(found)])
    return len(steps) >= 5 and float(steps.std()) < 0.15 * float(steps.mean())
