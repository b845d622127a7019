"""Clips whose every frame and every sound says which clip it is and when."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE = 48_000


def write_clip(
    path: Path,
    *,
    frames: int = 24,
    luma: int | Sequence[int] = 120,
    width: int = 160,
    height: int = 90,
    fps: int = 24,
    sound: np.ndarray | None = None,
    codec: str = "libx264",
) -> Path:
    """A picture of one grey (or one for each frame) with a moving bar; `sound` is mono."""
    with av.open(str(path), "w") as film:
        video = film.add_stream(codec, rate=fps)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.thread_count = 1
        audio = None
        if sound is not None:
            audio = film.add_stream("aac", rate=RATE)
            audio.layout = "stereo"
        for number in range(frames):
            image = np.full((height * 3 // 2, width), 128, np.uint8)
            image[:height] = luma if isinstance(luma, int) else luma[number]
            image[: height // 6, number * 2 % width : number * 2 % width + 8] = 235
            frame = av.VideoFrame.from_ndarray(image, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            film.mux(video.encode(frame))
        film.mux(video.encode(None))
        if audio is not None:
            for start in range(0, len(sound), 1024):
                block = np.stack([sound[start : start + 1024]] * 2).astype(np.float32)
                heard = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout="stereo")
                heard.sample_rate, heard.pts, heard.time_base = RATE, start, Fraction(1, RATE)
                film.mux(audio.encode(heard))
            film.mux(audio.encode(None))
    return path


def tone(seconds: float, level: float = 0.1, hertz: float = 440) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def lumas(path: Path) -> list[np.ndarray]:
    """The luma of every frame."""
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="yuv420p")[: frame.height] for frame in film.decode(video=0)]


def greys(path: Path) -> list[float]:
    """The luma of the middle of every frame."""
    return [float(luma[luma.shape[0] // 2, luma.shape[1] // 2]) for luma in lumas(path)]


def heard(path: Path) -> np.ndarray:
    """The sound as one channel, from the first moment of the picture."""
    with av.open(str(path)) as film:
        return np.concatenate([frame.to_ndarray()[0] for frame in film.decode(audio=0)])
