"""What a video file is, measured in one decode. Numbers only: what they mean is said in `judge`."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import av.logging
import cv2
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.frame import VideoFrame

from aiprod.models import Noun
from aiprod.qa.container import truncation
from aiprod.qa.senses import Ear, Eye, Span

__all__ = ["Measurements", "measure"]

#: Bounds against hostile files: one picture, all pictures, packets.
_MAX_PIXELS, _MAX_TOTAL_PIXELS, _MAX_PACKETS = 36_000_000, 30_000_000_000, 500_000
_MAX_DECODE_ERRORS = 200
#: FFmpeg opens playlists and scripts too, and those name other files; a take is one of these or unreadable.
_FORMATS = "mov,matroska,webm,avi,mpegts,ogg,flv,ivf"


class Measurements(Noun):
    """What was measured. Without `readable` only `size`, `problem` and `truncation` mean anything.

    `width` and `height` are as displayed (rotation applied, pixel shape not), `aspect` applies both. `still` is the
    part of neighbouring frames that do not differ; `departure` is how far any frame gets from the first one, as mean
    and 99.9th percentile of the luma difference in codes. `levels` are dBFS per window of `WINDOW_SECONDS`.
    """

    size: int = 0
    readable: bool = False
    problem: str = ""
    truncation: str = ""
    container: str = ""
    codec: str = ""
    width: int = 0
    height: int = 0
    aspect: float = 0.0
    frames: int = 0
    seconds: float = 0.0
    fps: float | None = None
    complete: bool = True
    stream_errors: int = 0
    first_stream_error: str = ""
    black: tuple[Span, ...] = ()
    frozen: tuple[Span, ...] = ()
    still: float | None = None
    departure: tuple[float, float] | None = None
    has_audio: bool = False
    audio_codec: str = ""
    levels: tuple[float, ...] = ()


def measure(path: Path) -> Measurements:
    """Measure a file of any kind; never raises for what is in it. Memory is bounded, whatever the file says it holds.

    FFmpeg's log is captured while decoding, which is one per process: two measurements at once share their errors.
    """
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            return Measurements(problem="not a regular file")
        missing = truncation(path)
    except OSError as error:
        return Measurements(problem=f"cannot be read: {error.strerror}")
    facts: dict[str, Any] = {"size": info.st_size, "truncation": missing}
    if info.st_size == 0:
        return Measurements(**facts, problem="the file is empty")
    cv2.setNumThreads(1)
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    log: list[tuple[int, str, str]] = []
    try:
        with av.logging.Capture(local=False) as log:
            facts.update(_decoded(path))
    except (FFmpegError, ValueError, OverflowError, MemoryError) as error:
        facts.update(readable=False, problem=f"cannot be opened as video: {error}"[:300])
    finally:
        av.logging.set_level(level)
    if facts.get("readable"):
        lines = [line.strip() for severity, _, line in log if severity <= av.logging.ERROR]
        facts["stream_errors"] = facts.get("stream_errors", 0) + len(lines)
        facts["first_stream_error"] = (facts.get("first_stream_error") or next(iter(lines), ""))[:200]
    return Measurements(**facts)


def _decoded(path: Path) -> dict[str, Any]:
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file", "max_streams": "32"}
    with av.open(str(path.resolve()), metadata_errors="replace", options=options) as container:
        facts: dict[str, Any] = {"readable": True, "container": container.format.name}
        # A stream in a codec that FFmpeg does not know has no codec context; a cover picture is no video.
        known = [stream for stream in container.streams.video if stream.codec_context is not None]
        video = next((stream for stream in known if not stream.disposition & Disposition.attached_pic), None)
        if video is None:
            return {**facts, "problem": "there is no video stream that can be decoded"}
        codec = video.codec_context
        if codec.width * codec.height > _MAX_PIXELS:
            return {**facts, "readable": False, "problem": f"{codec.width}x{codec.height} pixels are more than we decode"}
        codec.options = {"max_pixels": str(_MAX_PIXELS)}
        # One thread: the same findings on every machine, and the pool belongs to whoever runs us.
        codec.thread_count = 1
        eye, ear = Eye(), Ear()
        audio = next((stream for stream in container.streams.audio if stream.codec_context is not None), None)
        errors, first, complete = _watch(container, [video] if audio is None else [video, audio], eye, ear)
        facts.update(codec=codec.name, stream_errors=errors, first_stream_error=first, complete=complete, **eye.facts(video))
        if not complete and container.duration:
            facts["seconds"] = max(facts.get("seconds", 0.0), container.duration / av.time_base)
        if audio is not None:
            facts.update(has_audio=True, audio_codec=audio.codec_context.name, levels=tuple(ear.levels))
        return facts


def _watch(container: InputContainer, streams: Sequence[Any], eye: Eye, ear: Ear) -> tuple[int, str, bool]:
    """Decode everything once. Returns the count of stream errors, the first one, and whether the end was reached."""
    errors, first, pixels = 0, "", 0
    packets = container.demux(*streams)
    for number in range(_MAX_PACKETS):
        try:
            packet = next(packets, None)
            if packet is None:
                return errors, first, True
            frames = packet.decode()
        except FFmpegError as error:
            errors, first = errors + 1, first or str(error)
            if errors > _MAX_DECODE_ERRORS:
                return errors, first, False
            continue
        if packet.is_corrupt:
            errors, first = errors + 1, first or f"packet {number} is marked as corrupt"
        for frame in frames:
            if isinstance(frame, AudioFrame):
                ear.hear(frame)
            if not isinstance(frame, VideoFrame):
                continue
            if frame.is_corrupt:
                errors, first = errors + 1, first or f"frame {eye.frames} is damaged"
            eye.see(frame)
            pixels += frame.width * frame.height
        if pixels > _MAX_TOTAL_PIXELS:
            return errors, first, False
    return errors, first, False
