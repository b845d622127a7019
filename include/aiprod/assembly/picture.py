"""The picture of the finished video: copied as it is where the takes allow, else scaled, timed and encoded again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from aiprod.errors import StorageError

__all__ = ["Format", "Source", "copied", "copies", "encoded", "encoder", "matrix_of", "probe", "video_of"]

#: A shape that differs less than this is stretched; bars of a few pixels look worse.
_SAME_SHAPE = 0.03
_BT709, _LIMITED, _UNSAID = 1, 1, 2
#: What encodes the picture, by container. Neither lets somebody else's defaults decide.
_ENCODERS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "mp4": ("libx264", {"preset": "fast", "crf": "18"}),
    "webm": ("libvpx-vp9", {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}),
}


@dataclass(frozen=True)
class Format:
    """What the finished video looks like: pixels, and whole frames per second."""

    width: int
    height: int
    fps: int


@dataclass(frozen=True)
class Source:
    """One take as it lies in its file. `frames` is how many frames of the finished video it fills."""

    path: Path
    frames: int
    #: Everything that must be equal for two takes to be one stream.
    parameters: tuple[Any, ...]
    #: Whether the picture is upright, in square pixels and shown from its first packet to its last.
    plain: bool
    #: When each packet is shown, in seconds from the first, in order.
    times: tuple[Fraction, ...]


def video_of(container: InputContainer, path: Path) -> VideoStream:
    """Return the video stream (a cover picture is none). Raises `StorageError` when there is none."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise StorageError(f"{path} has no picture; the take must be rendered again")


def probe(path: Path, frames: int) -> Source:
    """Look at a take: one frame is decoded, the rest only read."""
    with av.open(str(path)) as container:
        video = video_of(container, path)
        first = next(container.decode(video), None)
        if first is None:
            raise StorageError(f"{path} has no frame that can be decoded; the take must be rendered again")
        plain = first.rotation == 0 and (video.sample_aspect_ratio or 1) == 1
    times: list[Fraction] = []
    with av.open(str(path)) as container:
        video = video_of(container, path)
        codec = video.codec_context
        parameters = (
            codec.name,
            codec.profile,
            codec.width,
            codec.height,
            codec.pix_fmt,
            bytes(codec.extradata or b""),
            video.time_base,
        )
        for packet in container.demux(video):
            if packet.pts is None or packet.dts is None:
                plain = plain and packet.size == 0
                continue
            plain = plain and not packet.is_discard
            times.append(packet.pts * (packet.time_base or Fraction(1)))
    times.sort()
    return Source(path, frames, parameters, plain, tuple(at - times[0] for at in times))


def copies(sources: Sequence[Source], wanted: Format) -> bool:
    """Whether the packets can go into the finished video as they are."""
    codec, _, width, height, pixels, *_ = sources[0].parameters
    if (codec, width, height, pixels) != ("h264", wanted.width, wanted.height, "yuv420p"):
        return False
    half = Fraction(1, 2 * wanted.fps)
    return all(
        source.plain
        and source.parameters == sources[0].parameters
        and len(source.times) == source.frames
        and all(abs(at - Fraction(number, wanted.fps)) < half / 4 for number, at in enumerate(source.times))
        for source in sources
    )


def copied(sources: Sequence[Source], wanted: Format, onto: VideoStream) -> Iterator[Packet[Any]]:
    """Yield the packets of all takes, each take starting where the one before ended."""
    done = 0
    for source in sources:
        with av.open(str(source.path)) as container:
            video = video_of(container, source.path)
            packets = [packet for packet in container.demux(video) if packet.dts is not None]
            begin = min(packet.pts for packet in packets if packet.pts is not None)
            for packet in packets:
                if packet.pts is None or packet.dts is None or packet.time_base is None:
                    continue  # `copies` has looked: only the flush packet has no times
                shift = round(Fraction(done, wanted.fps) / packet.time_base) - begin
                packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, onto
                yield packet
        done += source.frames


def encoder(film: OutputContainer, wanted: Format, container: str) -> VideoStream:
    """Add a stream that encodes for delivery: H.264 in an MP4, VP9 in a WebM."""
    codec_name, options = _ENCODERS[container]
    stream: VideoStream = film.add_stream(codec_name, rate=Fraction(wanted.fps))  # type: ignore[assignment]
    stream.width, stream.height, stream.pix_fmt = wanted.width, wanted.height, "yuv420p"
    stream.options = dict(options)
    codec = stream.codec_context
    codec.color_range, codec.colorspace, codec.color_primaries, codec.color_trc = _LIMITED, _BT709, _BT709, _BT709
    return stream


def encoded(sources: Sequence[Source], wanted: Format, onto: VideoStream, halves: Sequence[int]) -> Iterator[Packet[Any]]:
    """Yield all takes, each cut (or held) to its frames, as packets of one new stream.

    `halves` is half the frames of the dissolve between every two takes, 0 for a cut.
    """
    for number, frame in enumerate(_film(sources, wanted, halves)):
        frame.pts, frame.time_base = number, Fraction(1, wanted.fps)
        # The decoder's choice of key frames is not ours.
        frame.pict_type = PictureType.NONE
        yield from onto.encode(frame)
    yield from onto.encode(None)


def _film(sources: Sequence[Source], wanted: Format, halves: Sequence[int]) -> Iterator[VideoFrame]:
    """Yield every frame of the finished video; as many as all takes have together, dissolves or not."""
    tail: list[VideoFrame] = []
    for before, source, after in zip((0, *halves), sources, (*halves, 0), strict=True):
        frames = _handled(source, wanted, before, after)
        for number, (left, right) in enumerate(zip(tail, islice(frames, 2 * before), strict=True), start=1):
            yield _mixed(left, right, number / (2 * before + 1))
        yield from islice(frames, source.frames - before - after)
        tail = list(frames)


def _handled(source: Source, wanted: Format, before: int, after: int) -> Iterator[VideoFrame]:
    """Yield a take's frames with as many more as a dissolve needs: the first one held before it, its surplus after it."""
    frames = _timed(replace(source, frames=source.frames + after), wanted)
    first = next(frames)
    for _ in range(before):
        yield first
    yield first
    yield from frames


def _mixed(left: VideoFrame, right: VideoFrame, share: float) -> VideoFrame:
    """Return two frames of one size on top of each other, `share` of the right one."""
    one, other = left.to_ndarray(), right.to_ndarray()
    return VideoFrame.from_ndarray(np.asarray(cv2.addWeighted(one, 1 - share, other, share, 0.0), np.uint8), format="yuv420p")


def _timed(source: Source, wanted: Format) -> Iterator[VideoFrame]:
    """Yield exactly `source.frames` frames: at each moment the frame that is shown then, the last one held."""
    shown, current, fitted = 0, None, None
    with av.open(str(source.path)) as container:
        video = video_of(container, source.path)
        begin: Fraction | None = None
        for index, frame in enumerate(container.decode(video)):
            at = _moment(frame, index, video)
            begin = at if begin is None else begin
            until = min(source.frames, ceil((at - begin) * wanted.fps - Fraction(1, 2)))
            while current is not None and shown < until:
                fitted = fitted or _fit(current, video, wanted)
                yield fitted
                shown += 1
            if shown >= source.frames:
                return
            current, fitted = frame, None
        if current is None:
            raise StorageError(f"{source.path} has no frame that can be decoded; the take must be rendered again")
        fitted = _fit(current, video, wanted)
        for _ in range(source.frames - shown):
            yield fitted


def _moment(frame: VideoFrame, index: int, video: VideoStream) -> Fraction:
    if frame.pts is not None and frame.time_base is not None:
        return frame.pts * frame.time_base
    return Fraction(index) / (video.average_rate or 24)


def matrix_of(frame: VideoFrame) -> Colorspace:
    """Return the colour matrix of a frame; of one that does not say, what its size suggests."""
    if int(frame.colorspace) == _UNSAID:
        return Colorspace.ITU709 if min(frame.width, frame.height) >= 720 else Colorspace.ITU601
    return Colorspace(int(frame.colorspace)) if int(frame.colorspace) in Colorspace._value2member_map_ else Colorspace.ITU709


def _fit(frame: VideoFrame, video: VideoStream, wanted: Format) -> VideoFrame:
    """Return the frame upright in the wanted size, with black bars only where its shape differs."""
    turned = frame.rotation % 180 != 0
    wide, high = frame.width * float(video.sample_aspect_ratio or 1), float(frame.height)
    target = (wanted.height, wanted.width) if turned else (wanted.width, wanted.height)
    scale = min(target[0] / wide, target[1] / high)
    size = [max(2, round(side * scale / 2) * 2) for side in (wide, high)]
    if abs(wide / high / (target[0] / target[1]) - 1) < _SAME_SHAPE:
        size = list(target)
    limited = frame.reformat(
        width=size[0],
        height=size[1],
        format="yuv420p",
        src_colorspace=matrix_of(frame),
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG if int(frame.color_range) == int(ColorRange.JPEG) else ColorRange.MPEG,
        dst_color_range=ColorRange.MPEG,
    )
    if tuple(size) == (wanted.width, wanted.height) and not frame.rotation:
        return limited
    return _on_black(limited, frame.rotation, wanted)


def _on_black(frame: VideoFrame, rotation: int, wanted: Format) -> VideoFrame:
    image = np.empty((wanted.height * 3 // 2, wanted.width), np.uint8)
    flat, whole = image.reshape(-1), wanted.width * wanted.height
    flat[:whole], flat[whole:] = 16, 128
    planes = (flat[:whole], flat[whole : whole * 5 // 4], flat[whole * 5 // 4 :])
    for index, (plane, target) in enumerate(zip(frame.planes, planes, strict=True)):
        half = 1 if index == 0 else 2
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        part = np.rot90(rows, rotation // 90)
        area = target.reshape(wanted.height // half, wanted.width // half)
        top, left = (area.shape[0] - part.shape[0]) // 2, (area.shape[1] - part.shape[1]) // 2
        area[top : top + part.shape[0], left : left + part.shape[1]] = part
    return VideoFrame.from_ndarray(image, format="yuv420p")
