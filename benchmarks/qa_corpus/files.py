"""A clip as a file: encoded in memory's order, by any codec the wheel has, and spoiled afterwards where asked."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks.qa_corpus.scenes import RATE, Clip

__all__ = ["CODECS", "write"]

#: What vendors send, by share: most is H.264.
CODECS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("libx264", "yuv420p", {"preset": "superfast", "crf": "18"}),
    ("libx264", "yuv420p", {"preset": "superfast", "crf": "23"}),
    ("libx265", "yuv420p", {"preset": "ultrafast", "crf": "22", "x265-params": "log-level=none"}),
    ("libx264", "yuv420p", {"preset": "superfast", "crf": "20"}),
    ("libvpx-vp9", "yuv420p", {"deadline": "realtime", "cpu-used": "8", "crf": "24", "b": "0"}),
    ("libx265", "yuv420p10le", {"preset": "ultrafast", "crf": "22", "x265-params": "log-level=none"}),
    ("libx264", "yuv420p", {"preset": "veryfast", "crf": "21"}),
    ("libsvtav1", "yuv420p10le", {"preset": "12", "crf": "30"}),
)


def write(
    clip: Clip,
    path: Path,
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    faststart: bool = True,
    pixel_aspect: tuple[int, int] = (1, 1),
) -> Path:
    """Write an MP4; AAC where the clip has sound."""
    rate = Fraction(clip.fps).limit_denominator(1001)
    width, height = clip.size
    flags = {"movflags": "+faststart"} if faststart else {}
    with av.open(str(path), "w", format="mp4", options=flags) as film:
        video: Any = film.add_stream(codec, rate=rate, options=options or {"preset": "superfast", "crf": "18"})
        video.width, video.height, video.pix_fmt = width // 2 * 2, height // 2 * 2, pixels
        video.codec_context.sample_aspect_ratio = Fraction(*pixel_aspect)
        video.codec_context.thread_count = 1
        if "qscale" in (options or {}):
            video.codec_context.qmin = video.codec_context.qmax = int((options or {})["qscale"])
        sound: Any = film.add_stream("aac", rate=RATE, layout="stereo") if len(clip.sound) else None
        for number, image in enumerate(clip.frames):
            even = np.ascontiguousarray(image[: height // 2 * 2, : width // 2 * 2])
            frame = av.VideoFrame.from_ndarray(even, format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = number, 1 / rate
            film.mux(video.encode(frame))
        film.mux(video.encode(None))
        for start in range(0, len(clip.sound) if sound else 0, 1024):
            block = np.ascontiguousarray(clip.sound[start : start + 1024].T)
            heard = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            heard.sample_rate, heard.pts, heard.time_base = RATE, start, Fraction(1, RATE)
            film.mux(sound.encode(heard))
        if sound:
            film.mux(sound.encode(None))
    return path
