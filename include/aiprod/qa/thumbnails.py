"""Small pictures of a take at some moments, for whoever reads a finding. Bounded like `measure`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame

from aiprod.qa.opening import MAX_FRAMES, bounded, opened

__all__ = ["thumbnails"]

#: The longer side, in pixels.
_SIDE = 320


def thumbnails(path: Path, moments: Sequence[float]) -> list[bytes | None]:
    """Return a JPEG of the frame shown at each moment (seconds from the first frame), or None where there is none.

    Never raises for what is in the file.
    """
    found: list[bytes | None] = [None] * len(moments)
    order = sorted(range(len(moments)), key=lambda n: moments[n])
    before: VideoFrame | None = None
    try:
        for at, frame in _frames(path):
            while order and before is not None and moments[order[0]] < at:
                found[order.pop(0)] = _jpeg(before)
            if not order:
                return found
            before = frame
        for n in order:
            found[n] = None if before is None else _jpeg(before)
    except (FFmpegError, OSError, ValueError, MemoryError, cv2.error):
        # The findings stand without pictures.
        pass
    return found


def _frames(path: Path) -> Iterator[tuple[float, VideoFrame]]:
    """Every frame with its time from the first one on; frames that cannot be decoded are left out."""
    with opened(path) as (container, video):
        if video is None or not bounded(video):
            return
        begin: float | None = None
        count = 0
        for packet in container.demux(video):
            try:
                frames: list[Any] = packet.decode()
            except FFmpegError:
                continue
            for frame in frames:
                at = frame.time if frame.time is not None else count / float(video.average_rate or 24)
                begin = at if begin is None else begin
                count += 1
                yield at - (begin or 0.0), frame
            if count >= MAX_FRAMES:
                return


def _jpeg(frame: VideoFrame) -> bytes | None:
    scale = min(1.0, _SIDE / max(frame.width, frame.height))
    size = [max(2, round(side * scale / 2) * 2) for side in (frame.width, frame.height)]
    pixels = frame.reformat(width=size[0], height=size[1], format="bgr24").to_ndarray()
    fine, data = cv2.imencode(
        ".jpg", np.ascontiguousarray(np.rot90(pixels, frame.rotation // 90)), [cv2.IMWRITE_JPEG_QUALITY, 80]
    )
    return data.tobytes() if fine else None
