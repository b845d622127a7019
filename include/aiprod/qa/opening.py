"""Opens a file of any kind within bounds: known containers, no other files, few streams, pictures of a size we decode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

__all__ = ["MAX_FRAMES", "MAX_PIXELS", "bounded", "opened"]

#: Bounds against hostile files: one picture; frames of three minutes at 60 a second.
MAX_PIXELS, MAX_FRAMES = 36_000_000, 11_000
#: FFmpeg opens playlists and scripts too, and those name other files; a take is one of these or unreadable.
_FORMATS = "mov,matroska,webm,avi,mpegts,ogg,flv,ivf"
_MAX_STREAMS = 32


@contextmanager
def opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream | None]]:
    """Open a file, with its first video stream that can be decoded. Raises what PyAV does for what is no video."""
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file", "max_streams": str(_MAX_STREAMS)}
    with av.open(str(path.resolve()), metadata_errors="replace", options=options) as container:
        # A stream in a codec that FFmpeg does not know has no codec context; a cover picture is no video.
        known = [stream for stream in container.streams.video if stream.codec_context is not None]
        yield container, next((stream for stream in known if not stream.disposition & Disposition.attached_pic), None)


def bounded(video: VideoStream) -> bool:
    """Bound what decoding a stream may take; return whether its pictures are small enough to begin at all."""
    video.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    # One thread: the same findings on every machine, and the pool belongs to whoever runs us.
    video.codec_context.thread_count = 1
    return video.codec_context.width * video.codec_context.height <= MAX_PIXELS
