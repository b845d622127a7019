"""Small clips with and without defects, made here: nothing is downloaded and nothing is committed."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from aiprod.qa.eye import Eye, Seen

WIDTH, HEIGHT, FPS = 320, 180, 24


def moving(frames: int, width: int = WIDTH, height: int = HEIGHT) -> list[np.ndarray]:
    """Luma pictures of a wall of stones with hard edges that slides by, as a camera pan does."""
    rng = np.random.default_rng(7)
    grid, wide = rng.random((9, 24), dtype=np.float32), width + frames * 3
    texture = np.clip(60 + 120 * cv2.resize(grid, (wide, height), interpolation=cv2.INTER_CUBIC), 16, 235).astype(np.uint8)
    for _ in range(wide // 4):
        left, top = int(rng.integers(0, wide)), int(rng.integers(0, height))
        cv2.circle(texture, (left, top), int(rng.integers(3, 14)), int(rng.integers(30, 220)), -1, cv2.LINE_AA)
    return [texture[:, 3 * i : 3 * i + width] for i in range(frames)]


def seen(pictures: Sequence[np.ndarray], *, fps: int = FPS, colour: Sequence[tuple[int, int]] | None = None) -> Seen:
    """What the eye makes of luma pictures that were never encoded; `colour` is the tint of each."""
    eye = Eye()
    for number, luma in enumerate(pictures):
        eye.see(frame_of(luma, number, fps, colour[number] if colour else (112, 150)))
    return eye.seen()


def frame_of(luma: np.ndarray, number: int, fps: int | Fraction = FPS, tint: tuple[int, int] = (112, 150)) -> av.VideoFrame:
    height, width = luma.shape
    colours = np.repeat(np.array(tint, np.uint8), height // 2 * width // 2).reshape(height // 2, width)
    frame = av.VideoFrame.from_ndarray(np.concatenate([luma, colours]), format="yuv420p")
    frame.pts, frame.time_base = number, 1 / Fraction(fps)
    return frame


def tone(seconds: float, level: float = 0.2) -> np.ndarray:
    return (level * np.sin(2 * np.pi * 440 * np.arange(round(seconds * 48_000)) / 48_000)).astype(np.float32)


def write(
    path: Path,
    pictures: Sequence[np.ndarray],
    sound: np.ndarray | None = None,
    *,
    fps: int | Fraction = FPS,
    codec: str = "libx264",
    first: int = 0,
    options: dict[str, str] | None = None,
) -> Path:
    """Write luma pictures (and mono sound) as a file whose suffix names the container."""
    with av.open(str(path), "w", options=options or {}) as film:
        height, width = pictures[0].shape if pictures else (HEIGHT, WIDTH)
        if pictures:
            video = film.add_stream(codec, rate=fps)
            video.width, video.height, video.pix_fmt = width, height, "yuvj420p" if codec == "mjpeg" else "yuv420p"
            video.options = (
                {"preset": "ultrafast", "crf": "20"} if codec == "libx264" else {"deadline": "realtime", "cpu-used": "8"}
            )
        if sound is not None:
            audio = film.add_stream("aac" if path.suffix != ".webm" else "libopus", rate=48_000)
            audio.layout = "stereo"
        for number, luma in enumerate(pictures):
            # A warm tint: what has no colour at all is a finding.
            frame = frame_of(luma, number + first, fps)
            film.mux(video.encode(frame.reformat(format=video.pix_fmt)))
        if pictures:
            film.mux(video.encode(None))
        if sound is not None:
            for start in range(0, len(sound), 1024):
                block = np.stack([sound[start : start + 1024]] * 2)
                heard = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout="stereo")
                heard.sample_rate, heard.pts, heard.time_base = 48_000, start, Fraction(1, 48_000)
                for packet in audio.encode(av.audio.resampler.AudioResampler(audio.format).resample(heard)[0]):
                    film.mux(packet)
            film.mux(audio.encode(None))
    return path


def turned(path: Path) -> Path:
    """Mark an MP4 as filmed on its side: players turn it 90 degrees clockwise."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    one = 1 << 16
    data[at : at + 36] = b"".join(n.to_bytes(4, "big", signed=True) for n in (0, one, 0, -one, 0, 0, 0, 0, 1 << 30))
    path.write_bytes(bytes(data))
    return path
