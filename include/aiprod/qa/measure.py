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
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from aiprod.models import Noun
from aiprod.qa.container import truncation
from aiprod.qa.ear import Ear
from aiprod.qa.eye import Eye
from aiprod.qa.opening import MAX_FRAMES, bounded, opened
from aiprod.qa.picture import picture_facts
from aiprod.qa.spans import Span

__all__ = ["Measurements", "measure"]

#: Bounds against hostile files, beside those of `opening`: all pictures, packets, half an hour.
_MAX_TOTAL_PIXELS, _MAX_PACKETS, _MAX_SECONDS = 20_000_000_000, 500_000, 1_800
#: Codecs of which every packet shows one frame.
_FRAME_PER_PACKET = frozenset(("h264", "hevc", "av1", "libdav1d", "vp9"))
_MAX_DECODE_ERRORS = 200


class Measurements(Noun):
    """What was measured. Without `readable` only `size`, `problem` and `truncation` mean anything. Times are seconds.

    Container: `width` and `height` are as displayed (rotation applied, pixel shape not), `aspect` applies both. `fps` is by
    the usual step between two frames, `mean_fps` by all of them. `lost` are packets that no frame came out of.
    `black` leaves out where a clip fades in from black or out to it.
    Stillness (see `stills`): `still` is the part of neighbouring frames that do not differ; `departure` is how far any frame
    gets from the first one, as mean and 99.9th percentile of the luma difference in codes, `drift` the same for the cells of
    a coarse grid. Changes, light, bars and detail: see the modules of that name; `bars` are top, bottom, left and right.
    Sound (see `ear`): `levels` are dBFS per window of `WINDOW_SECONDS`.
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
    pixel_aspect: float = 1.0
    frames: int = 0
    lost: int = 0
    seconds: float = 0.0
    fps: float | None = None
    mean_fps: float | None = None
    complete: bool = True
    stream_errors: int = 0
    first_stream_error: str = ""
    black: tuple[Span, ...] = ()
    blank: tuple[Span, ...] = ()
    still: float | None = None
    departure: tuple[float, float] | None = None
    drift: float | None = None
    frozen: tuple[Span, ...] = ()
    repeats: float = 0.0
    lone_repeats: int = 0
    repeated: tuple[Span, ...] = ()
    stuck: float = 0.0
    stuck_at: tuple[Span, ...] = ()
    cuts: tuple[float, ...] = ()
    jumps: tuple[float, ...] = ()
    glitches: tuple[Span, ...] = ()
    colour_steps: tuple[float, ...] = ()
    greyed: tuple[Span, ...] = ()
    torn: float = 0.0
    torn_at: tuple[Span, ...] = ()
    flicker: float = 0.0
    flicker_at: tuple[Span, ...] = ()
    flashes: float = 0.0
    flashes_at: tuple[Span, ...] = ()
    bars: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    colour: float | None = None
    brightness: float | None = None
    highlights: float | None = None
    contrast: float | None = None
    sharpness: float | None = None
    blocks: float | None = None
    noise: float | None = None
    comb: float | None = None
    motion: float | None = None
    has_audio: bool = False
    audio_codec: str = ""
    levels: tuple[float, ...] = ()
    channels: tuple[float, ...] = ()
    audio_start: float = 0.0
    audio_seconds: float = 0.0
    dropouts: tuple[Span, ...] = ()
    clipped: float = 0.0
    lufs: float | None = None


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
    try:
        with av.logging.Capture(local=False) as log:
            facts.update(_decoded(path, log))
    except (FFmpegError, ValueError, OverflowError, MemoryError) as error:
        facts.update(readable=False, problem=f"cannot be opened as video: {error}"[:300])
    finally:
        av.logging.set_level(level)
    return Measurements(**facts)


def _decoded(path: Path, log: Sequence[tuple[int, str, str]]) -> dict[str, Any]:
    with opened(path) as (container, video):
        facts: dict[str, Any] = {"readable": True, "container": container.format.name}
        if video is None:
            return {**facts, "problem": "there is no video stream that can be decoded"}
        refused = _too_much(video, (container.duration or 0) / av.time_base)
        if refused:
            return {**facts, "readable": False, "problem": refused}
        # Opening reads frames to learn the format, and complains of things that hurt nobody (edit lists).
        quiet = len(log)
        codec = video.codec_context
        audio = next((stream for stream in container.streams.audio if stream.codec_context is not None), None)
        pass_ = _Pass(video)
        pass_.run(container, [video] if audio is None else [video, audio])
        facts.update(codec=codec.name, **pass_.facts(log[quiet:]))
        if not pass_.complete and container.duration:
            facts["seconds"] = max(facts.get("seconds", 0.0), container.duration / av.time_base)
        if audio is not None:
            heard = pass_.ear.heard()
            facts.update(has_audio=True, audio_codec=audio.codec_context.name, levels=heard.levels, channels=heard.channels)
            facts.update(audio_start=heard.start, audio_seconds=heard.seconds, dropouts=heard.dropouts)
            facts.update(clipped=heard.clipped, lufs=heard.lufs)
        return facts


def _too_much(video: VideoStream, seconds: float) -> str:
    """Bound the decoder; return why this is more than we decode, or an empty string."""
    if not bounded(video):
        width, height = video.codec_context.width, video.codec_context.height
        return f"{width}x{height} pixels are more than we decode"
    return f"{seconds:,.0f} seconds are more than we decode" if seconds > _MAX_SECONDS else ""


class _Pass:
    """The one pass over a file: everything is decoded once, and what goes wrong is counted."""

    def __init__(self, video: VideoStream) -> None:
        self.eye, self.ear = Eye(), Ear()
        self.complete = True
        self._video = video
        self._errors, self._first = 0, ""
        self._pixels, self._packets = 0, 0
        self._late = False

    def run(self, container: InputContainer, streams: Sequence[Any]) -> None:
        packets = container.demux(*streams)
        for number in range(_MAX_PACKETS):
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                frames = packet.decode()
            except FFmpegError as error:
                self._wrong(str(error))
                if self._errors > _MAX_DECODE_ERRORS:
                    break
                continue
            if packet.is_corrupt:
                self._wrong(f"packet {number} is marked as corrupt")
            if packet.stream is self._video and packet.size and not packet.is_discard:
                self._packets += 1
            for frame in frames:
                self._take(frame)
            if self._late or self._pixels > _MAX_TOTAL_PIXELS or self.eye.frames >= MAX_FRAMES:
                break
        self.complete = False

    def facts(self, log: Sequence[tuple[int, str, str]]) -> dict[str, Any]:
        lines = [line.strip() for severity, _, line in log if severity <= av.logging.ERROR]
        first = (self._first or next(iter(lines), ""))[:200]
        facts = {"complete": self.complete, "stream_errors": self._errors + len(lines), "first_stream_error": first}
        if not self.eye.frames:
            return {**facts, "problem": "no frame can be decoded"}
        rate = float(self._video.average_rate or self._video.guessed_rate or 0)
        lost = max(0, self._packets - self.eye.frames) if self._video.codec_context.name in _FRAME_PER_PACKET else 0
        return {**facts, "lost": lost, **picture_facts(self.eye.seen(), rate, self._video.sample_aspect_ratio)}

    def _take(self, frame: Any) -> None:
        if isinstance(frame, AudioFrame):
            self.ear.hear(frame)
        if not isinstance(frame, VideoFrame):
            return
        if frame.is_corrupt:
            self._wrong(f"frame {self.eye.frames} is damaged")
        if frame.time is not None and abs(frame.time) > _MAX_SECONDS:
            self._late = True
        self.eye.see(frame)
        self._pixels += frame.width * frame.height

    def _wrong(self, what: str) -> None:
        self._errors, self._first = self._errors + 1, self._first or what
