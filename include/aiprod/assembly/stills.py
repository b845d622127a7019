"""Pictures of the finished video: a poster, and a contact sheet with time codes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import av
import cv2
import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from aiprod.assembly.picture import matrix_of, video_of
from aiprod.errors import StorageError

__all__ = ["contact_sheet", "poster"]

Image: TypeAlias = NDArray[np.uint8]

#: Contact sheet, in pixels: the longer side of a picture, the space between, the line with the time code.
_SIDE, _GAP, _LINE = 320, 12, 26
_GROUND, _INK = (26, 22, 20), (208, 204, 200)
#: Moments farther apart than this are sought, not decoded towards: a key frame comes sooner.
_SEEK_SECONDS = 12.0


def poster(video: Path, into: Path) -> None:
    """Write a JPEG of the frame at one third of the video, in its full size.

    Raises `StorageError` when the video cannot be read or the picture not written.
    """
    seconds = _seconds(video)
    _write(_images(video, [seconds / 3], side=None)[0], into, quality=90)


def contact_sheet(video: Path, into: Path, columns: int = 4, rows: int = 3) -> None:
    """Write a JPEG with `columns` x `rows` pictures from the whole video, each with its time, whatever its shape.

    Raises `StorageError` when the video cannot be read or the picture not written.
    """
    seconds, count = _seconds(video), columns * rows
    moments = [seconds * (number + 0.5) / count for number in range(count)]
    small = _images(video, moments, side=_SIDE)
    high, wide = small[0].shape[:2]
    sheet = np.empty((rows * (high + _LINE) + (rows + 1) * _GAP, columns * (wide + _GAP) + _GAP, 3), np.uint8)
    sheet[:] = _GROUND
    face = cv2.FontFace("sans")
    for number, (image, moment) in enumerate(zip(small, moments, strict=True)):
        top = _GAP + number // columns * (high + _LINE + _GAP)
        left = _GAP + number % columns * (wide + _GAP)
        sheet[top : top + high, left : left + wide] = image
        cv2.putText(sheet, _time_code(moment), (left, top + high + _LINE - 8), _INK, face, 16, 500)
    _write(sheet, into, quality=85)


def _time_code(moment: float) -> str:
    tenths = int(moment * 10)
    return f"{tenths // 600:02d}:{tenths // 10 % 60:02d}.{tenths % 10}"


def _seconds(path: Path) -> float:
    try:
        with av.open(str(path)) as container:
            stream = video_of(container, path)
            if stream.duration and stream.time_base:
                return float(stream.duration * stream.time_base)
            return (container.duration or 0) / av.time_base
    except (OSError, FFmpegError) as error:
        raise StorageError(f"{path} cannot be read: {error}") from error


def _images(path: Path, moments: Sequence[float], *, side: int | None) -> list[Image]:
    """Return the frame shown at each moment (ascending, seconds from the start), BGR and upright.

    `side` is how many pixels their longer side gets; None: as many as it has.
    """
    images: list[Image] = []
    cv2.setNumThreads(1)
    # One for all: what it works out for the first frame holds for the others.
    formatter = VideoReformatter()
    try:
        with av.open(str(path)) as container:
            video = video_of(container, path)
            frames = _decoded(container, video, 0.0)
            current = next(frames, None)
            if current is None:
                raise StorageError(f"{path} has no frame that can be decoded")
            begin = current.time or 0.0
            for moment in moments:
                if moment + begin - (current.time or 0.0) > _SEEK_SECONDS:
                    frames = _decoded(container, video, moment + begin)
                    current = next(frames, current)
                while (current.time or 0.0) - begin + _step(video) <= moment and (after := next(frames, None)) is not None:
                    current = after
                images.append(_upright(current, video, formatter, side))
    except (OSError, FFmpegError) as error:
        raise StorageError(f"{path} cannot be read: {error}") from error
    return images


def _decoded(container: Any, video: VideoStream, moment: float) -> Iterator[VideoFrame]:
    if moment:
        container.seek(round(moment / float(video.time_base or 1)), stream=video)
    frames: Iterator[VideoFrame] = container.decode(video)
    return frames


def _step(video: VideoStream) -> float:
    return 1 / float(video.average_rate or 24)


def _upright(frame: VideoFrame, video: VideoStream, formatter: VideoReformatter, side: int | None) -> Image:
    """Return a frame as it is meant to be seen: colours, rotation, pixel shape and size applied."""
    shape = float(video.sample_aspect_ratio or 1) or 1.0
    wide, high = frame.width * shape, float(frame.height)
    scale = 1.0 if side is None else side / max(wide, high)
    full = int(frame.color_range) == int(ColorRange.JPEG)
    # Colours and size in one step: a picture for the sheet is never made in full size.
    plain = formatter.reformat(
        frame,
        width=max(2, round(wide * scale)),
        height=max(2, round(high * scale)),
        format="bgr24",
        src_colorspace=matrix_of(frame),
        src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        interpolation=Interpolation.AREA if scale < 1 else Interpolation.BICUBIC,
    )
    pixels = plain.to_ndarray().astype(np.uint8, copy=False)
    return np.ascontiguousarray(np.rot90(pixels, frame.rotation // 90))


def _write(image: Image, into: Path, *, quality: int) -> None:
    fine, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not fine:
        raise StorageError(f"{into} could not be encoded as JPEG")
    unfinished = into.with_name(f".{into.name}.part")
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(data.tobytes())
        os.replace(unfinished, into)
    except OSError as error:
        raise StorageError(f"{into} could not be written: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)
