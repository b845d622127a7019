"""The films that the emulated vendors deliver: real H.264 and AAC of any shape, each shape drawn once."""

from __future__ import annotations

import os
import struct
import threading
import uuid
from dataclasses import astuple
from pathlib import Path

import av
import numpy as np

from aiprod.emulators.renders import Film

__all__ = ["Studio", "corrupted", "printed"]

_RATE = 48_000
_BLOCK = 1_024


class Studio:
    """Draws every shape once: kept in memory, and in a folder for the next process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._drawn: dict[Film, bytes] = {}
        self._turn = threading.Lock()

    def film(self, film: Film) -> bytes:
        """Return the mp4 of a shape."""
        with self._turn:
            if film not in self._drawn:
                self._drawn[film] = self._kept(film)
            return self._drawn[film]

    def _kept(self, film: Film) -> bytes:
        path = self._folder / f"{'-'.join(f'{value:g}' for value in astuple(film))}.mp4"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            scratch = path.with_suffix(f".{uuid.uuid4().hex}.mp4")
            _shoot(scratch, film)
            os.replace(scratch, path)
        return path.read_bytes()


def printed(film: bytes, mark: str) -> bytes:
    """Return a copy that says whose it is, in a box at the end that players skip: every render has bytes of its own."""
    text = mark.encode()
    return film + struct.pack(">I4s", 8 + len(text), b"free") + text


def corrupted(film: bytes) -> bytes:
    """Return a copy whose picture is damaged in the middle; its boxes are whole."""
    start, end = film.index(b"mdat") + 4, len(film)
    first, length = start + (end - start) // 3, max(64, (end - start) // 4)
    noise = np.random.default_rng(1).integers(0, 256, size=length, dtype=np.uint8).tobytes()
    return film[:first] + noise[: max(0, end - first)] + film[first + length :]


def _shoot(path: Path, film: Film) -> None:
    """Waves that walk over a gradient, and a quiet tone when sound was ordered."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        video = container.add_stream("libx264", rate=film.fps, options={"preset": "ultrafast", "crf": "34"})
        video.width, video.height, video.pix_fmt = film.width, film.height, "yuv420p"
        sound = container.add_stream("aac", rate=_RATE, layout="stereo") if film.audio else None
        period, step = 256, 8
        across = np.arange(film.width + period)
        wave = (120 + 60 * np.sin(across * 2 * np.pi / period)).astype(np.uint8)
        picture = np.full((film.height * 3 // 2, film.width), 128, dtype=np.uint8)
        shade = np.linspace(0, 40, film.height, dtype=np.uint8)[:, None]
        for n in range(round(film.seconds * film.fps)):
            left = 0 if film.still else n * step % period
            picture[: film.height] = wave[left : left + film.width] + shade
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="yuv420p")))
        container.mux(video.encode())
        if sound is not None:
            tone = (0.05 * np.sin(np.arange(round(film.seconds * _RATE)) * 2 * np.pi * 220 / _RATE)).astype(np.float32)
            for start in range(0, len(tone), _BLOCK):
                block = np.ascontiguousarray(np.stack([tone[start : start + _BLOCK]] * 2))
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
                frame.sample_rate, frame.pts = _RATE, start
                container.mux(sound.encode(frame))
            container.mux(sound.encode())
