"""The sound of the finished video: one programme as long as the picture, made as loud as delivery wants it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import BlockingIOError, EOFError
from av.filter import Graph
from av.packet import Packet
from numpy.typing import NDArray

from aiprod.assembly.picture import Source, video_of

__all__ = ["encoded", "encoder", "loudness", "programme"]

#: Two rows of float samples, full scale 1.
Block: TypeAlias = NDArray[np.float32]

_RATE = 48_000
#: Below this, sound is meant to be quiet (or is an animatic's tone), and stays so. LUFS.
_LEAST = -50.0
#: Peaks stay under -1.5 dBFS: AAC adds a little.
_PEAK = "0.84"
#: A cut in the middle of a wave clicks; 5 ms of fade do not.
_FADE = _RATE // 200


def encoder(film: OutputContainer, container: str) -> AudioStream:
    """Add a stream that encodes 48 kHz, stereo: AAC in an MP4, Opus in a WebM."""
    codec, rate = ("libopus", 160_000) if container == "webm" else ("aac", 192_000)
    stream: AudioStream = film.add_stream(codec, rate=_RATE)  # type: ignore[assignment]
    stream.layout, stream.bit_rate = "stereo", rate
    return stream


def encoded(
    sources: Sequence[Source], fps: int, onto: AudioStream, *, halves: Sequence[int] = (), wanted: float | None = -14.0
) -> Iterator[Packet[Any]]:
    """Yield the programme as packets, `wanted` LUFS loud unless it is quieter than -50; None leaves it as it is.

    `halves` is half the frames of the dissolve between every two takes: over so many, sound fades out and in.
    """
    total = _samples(sum(source.frames for source in sources), fps)
    level = _LEAST if wanted is None else loudness(programme(sources, fps, halves))
    blocks: Iterable[Block] = programme(sources, fps, halves)
    if wanted is not None and level > _LEAST:
        blocks = _exactly(_levelled(blocks, wanted - level), total)
    for frame in _frames(blocks):
        yield from onto.encode(frame)
    yield from onto.encode(None)


def programme(sources: Sequence[Source], fps: int, halves: Sequence[int] = ()) -> Iterator[Block]:
    """Yield the sound of all takes, each exactly as long as its picture; a take without sound is silent."""
    done = 0
    fades = [max(_FADE, _samples(half, fps)) for half in (halves or [0] * (len(sources) - 1))]
    for rise, source, fall in zip((_FADE, *fades), sources, (*fades, _FADE), strict=True):
        start, end = _samples(done, fps), _samples(done + source.frames, fps)
        done += source.frames
        position, length = 0, end - start
        for block in _exactly(_take(source), length):
            at = np.arange(position, position + block.shape[1])
            edge = np.minimum(at / rise, (length - 1 - at) / fall)
            yield (block * np.clip(edge, 0, 1)).astype(np.float32)
            position += block.shape[1]


def loudness(blocks: Iterable[Block]) -> float:
    """Return the integrated loudness (ITU-R BS.1770) in LUFS; -70 for silence and for less than 0.4 s."""
    level = -70.0
    for frame in _filtered(blocks, ("ebur128", "metadata=1")):
        level = float(frame.metadata.get("lavfi.r128.I", level))
    return level


def _samples(frames: int, fps: int) -> int:
    return round(Fraction(frames, fps) * _RATE)


def _take(source: Source) -> Iterator[Block]:
    """Yield the sound of a take from the moment its picture starts."""
    with av.open(str(source.path)) as container:
        sound = next(iter(container.streams.audio), None)
        if sound is None:
            return
        video = video_of(container, source.path)
        begin = Fraction(video.start_time or 0) * (video.time_base or 1)
        resampler = AudioResampler(format="fltp", layout="stereo", rate=_RATE)
        late: int | None = None
        for heard in _heard(container.decode(sound), resampler):
            block = heard.to_ndarray().astype(np.float32)
            if late is None:
                at = Fraction(heard.pts or 0) * (heard.time_base or Fraction(1, _RATE))
                late = round((at - begin) * _RATE)
                if late > 0:
                    yield np.zeros((2, late), np.float32)
            # Sound that starts before the picture is not heard.
            skip = min(block.shape[1], max(0, -late))
            late += skip
            yield block[:, skip:]


def _heard(frames: Iterable[AudioFrame], resampler: AudioResampler) -> Iterator[AudioFrame]:
    for frame in frames:
        yield from resampler.resample(frame)
    yield from resampler.resample(None)


def _exactly(blocks: Iterable[Block], total: int) -> Iterator[Block]:
    """Cut or fill up with silence to `total` samples."""
    left = total
    for block in blocks:
        if left <= 0:
            return
        part = block[:, :left]
        left -= part.shape[1]
        if part.shape[1]:
            yield part
    while left > 0:
        size = min(left, _RATE)
        yield np.zeros((2, size), np.float32)
        left -= size


def _levelled(blocks: Iterable[Block], gain: float) -> Iterator[Block]:
    filters = (("volume", f"{gain:.3f}dB"), ("alimiter", f"limit={_PEAK}:level=0:latency=1"), ("aformat", "sample_fmts=fltp"))
    for frame in _filtered(blocks, *filters):
        yield frame.to_ndarray().astype(np.float32)


def _filtered(blocks: Iterable[Block], *filters: tuple[str, str]) -> Iterator[AudioFrame]:
    """Send the blocks through filters of FFmpeg, one after another."""
    graph = Graph()
    source = graph.add_abuffer(sample_rate=_RATE, format="fltp", layout="stereo", time_base=Fraction(1, _RATE))
    last = source
    for name, options in filters:
        after = graph.add(name, options)
        last.link_to(after)
        last = after
    sink = graph.add("abuffersink")
    last.link_to(sink)
    graph.configure()
    for frame in _frames(blocks):
        source.push(frame)
        yield from _drained(sink.pull)
    source.push(None)
    yield from _drained(sink.pull)


def _drained(pull: Callable[[], object]) -> Iterator[AudioFrame]:
    while True:
        try:
            frame = pull()
        except (BlockingIOError, EOFError):
            return
        if isinstance(frame, AudioFrame):
            yield frame


def _frames(blocks: Iterable[Block]) -> Iterator[AudioFrame]:
    position = 0
    for block in blocks:
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = _RATE, position, Fraction(1, _RATE)
        position += block.shape[1]
        yield frame
