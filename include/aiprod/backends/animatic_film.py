"""An animatic as a file: frames and a quiet tone, encoded on one thread, the same bytes for the same request."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from aiprod.backends.animatic_picture import World
from aiprod.backends.animatic_slate import Slate
from aiprod.models import RenderRequest

__all__ = ["frame_count", "shoot"]

_RATE, _BLOCK = 48_000, 1_024
#: Each partial of the tone, full scale 1: heard when listened for, and below what delivery would make louder.
_LEVEL = 0.0014
#: BT.709 in FFmpeg's numbering, and limited range.
_BT709, _LIMITED = 1, 1


def frame_count(request: RenderRequest) -> int:
    """How many frames the preview has: `seconds` x `fps`, rounded."""
    return round(request.seconds * request.fps)


def shoot(request: RenderRequest, into: Path) -> None:
    """Write the preview of `request` to `into` as MP4 (H.264, and AAC where sound was asked). Overwrites."""
    cv2.setNumThreads(1)
    with av.open(str(into), "w", format="mp4", options={"movflags": "+faststart"}) as film:
        film.metadata.update(
            title=f"Animatic preview, shot {request.shot}", comment="generator=aiprod animatic; ai_generated=false"
        )
        picture = _picture_stream(film, request)
        sound = _sound_stream(film) if request.audio else None
        blocks = _tone(request)
        heard = Fraction(0)
        for number, image in enumerate(_frames(request)):
            frame = av.VideoFrame.from_ndarray(image, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, request.fps)
            film.mux(picture.encode(frame))
            while sound is not None and heard * request.fps <= number and (block := next(blocks, None)) is not None:
                heard += Fraction(block.samples, _RATE)
                film.mux(sound.encode(block))
        film.mux(picture.encode(None))
        if sound is not None:
            for block in blocks:
                film.mux(sound.encode(block))
            film.mux(sound.encode(None))


def _picture_stream(film: OutputContainer, request: RenderRequest) -> VideoStream:
    stream = film.add_stream("libx264", rate=Fraction(request.fps))
    stream.width, stream.height, stream.pix_fmt = request.width, request.height, "yuv420p"
    # x264's macroblock tree reads memory it never wrote in some sizes, and the same frames become other bytes.
    stream.options = {"preset": "veryfast", "crf": "22", "x264-params": "mbtree=0"}
    codec = stream.codec_context
    codec.thread_count = 1
    codec.color_range, codec.colorspace, codec.color_primaries, codec.color_trc = _LIMITED, _BT709, _BT709, _BT709
    return stream


def _sound_stream(film: OutputContainer) -> AudioStream:
    stream = film.add_stream("aac", rate=_RATE)
    stream.layout, stream.bit_rate = "stereo", 96_000
    return stream


def _frames(request: RenderRequest) -> Iterator[NDArray[np.uint8]]:
    """Yield every frame as yuv420p planes in one array, height * 3/2 by width; each is valid until the next."""
    width, height, frames = request.width, request.height, frame_count(request)
    world = World(request.prompt, seed=request.seed, width=width, height=height, seconds=frames / request.fps)
    slate = Slate(prompt=request.prompt, shot=request.shot, width=width, height=height, fps=request.fps, frames=frames)
    image = np.zeros((height * 3 // 2, width), np.uint8)
    flat, whole, quarter = image.reshape(-1), width * height, width * height // 4
    u = flat[whole : whole + quarter].reshape(height // 2, width // 2)
    v = flat[whole + quarter :].reshape(height // 2, width // 2)
    for number in range(frames):
        world.draw(number / request.fps, image[:height], u, v)
        slate.put_on(number, (image[:height], u, v))
        yield image


def _tone(request: RenderRequest) -> Iterator[av.AudioFrame]:
    """Yield the tone in blocks, exactly as long as the picture. The shot's number chooses the chord."""
    samples = round(Fraction(frame_count(request), request.fps) * _RATE)
    root = 196.0 * 2 ** ((request.shot * 5 % 12) / 12)
    fade = min(_RATE // 20, samples // 4)
    for start in range(0, samples, _BLOCK):
        at = np.arange(start, min(start + _BLOCK, samples), dtype=np.float64)
        wave = sum(np.sin(2 * math.pi * root * ratio * at / _RATE) for ratio in (1, 1.25, 1.5))
        ends = np.minimum(np.minimum(at, samples - 1 - at) / max(1, fade), 1)
        one = (_LEVEL * wave * ends).astype(np.float32)
        block = av.AudioFrame.from_ndarray(np.stack([one, one]), format="fltp", layout="stereo")
        block.sample_rate, block.pts, block.time_base = _RATE, start, Fraction(1, _RATE)
        yield block
