"""Cuts takes to length and joins them into one file that starts playing before it is loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from heapq import merge
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet

from aiprod.assembly import picture, sound
from aiprod.errors import JobFailed, StorageError
from aiprod.models import Noun

__all__ = ["Clip", "Style", "assemble"]


class Clip(Noun):
    """One accepted take and how many seconds of it the video shows, from its start."""

    path: Path
    seconds: float


@dataclass(frozen=True)
class Style:
    """How clips become a video. `container` decides the codecs: mp4 is H.264 and AAC, webm is VP9 and Opus.

    `fade_seconds` is how long one clip dissolves into the next, 0 for a cut; `loudness` in LUFS, None leaves it as it is.
    """

    container: Literal["mp4", "webm"] = "mp4"
    fade_seconds: float = 0.0
    loudness: float | None = -14.0


PLAIN = Style()


def assemble(clips: Sequence[Clip], into: Path, *, width: int, height: int, fps: int, audio: bool, style: Style = PLAIN) -> None:
    """Write the finished video to `into`, whole or not at all, exactly as long as all clips together.

    Clip n takes its place at the frame where the seconds before it end, so rounding never adds up. A take that is
    a little short holds its last frame; one without sound is silent. The picture is copied when no take needs a
    cut, another size, another rate or another codec, and none dissolves. A dissolve has its middle where a cut would be, and
    shows what a take has beyond its end, or holds its last frame; sound fades out and in.

    Raises `StorageError` when a take cannot be read or the file cannot be written.
    """
    if not clips:
        raise JobFailed("There is no take to assemble; every shot needs an accepted one.")
    wanted = picture.Format(width, height, fps)
    unfinished = into.with_name(f".{into.name}.part")
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        sources = [picture.probe(clip.path, frames) for clip, frames in zip(clips, _frames(clips, fps), strict=True) if frames]
        options = {"movflags": "+faststart"} if style.container == "mp4" else {}
        with av.open(str(unfinished), "w", format=style.container, options=options) as film:
            _mux(film, sources, wanted, audio, style)
        os.replace(unfinished, into)
    except (OSError, FFmpegError) as error:
        raise StorageError(f"{into} could not be assembled from {len(clips)} takes: {error}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _frames(clips: Sequence[Clip], fps: int) -> list[int]:
    """How many frames each clip fills; together exactly what all seconds together are."""
    frames, seconds, done = [], Fraction(0), 0
    for clip in clips:
        seconds += Fraction(clip.seconds)
        frames.append(round(seconds * fps) - done)
        done += frames[-1]
    return frames


def _halves(sources: Sequence[picture.Source], fps: int, seconds: float) -> tuple[int, ...]:
    """Half the frames of each dissolve, between every two clips; never more than a third of either."""
    wanted = round(seconds * fps / 2)
    return tuple(min(wanted, left.frames // 3, right.frames // 3) for left, right in pairwise(sources))


def _mux(film: OutputContainer, sources: Sequence[picture.Source], wanted: picture.Format, audio: bool, style: Style) -> None:
    shown: Iterator[Packet[Any]]
    halves = _halves(sources, wanted.fps, style.fade_seconds)
    if style.container == "mp4" and not any(halves) and picture.copies(sources, wanted):
        with av.open(str(sources[0].path)) as first:
            stream = film.add_stream_from_template(picture.video_of(first, sources[0].path))
        shown = picture.copied(sources, wanted, stream)
    else:
        shown = picture.encoded(sources, wanted, picture.encoder(film, wanted, style.container), halves)
    heard: Iterator[Packet[Any]] = iter(())
    if audio:
        onto = sound.encoder(film, style.container)
        heard = sound.encoded(sources, wanted.fps, onto, halves=halves, wanted=style.loudness)
    # In the order of their times, or the muxer would hold one of the two back in memory.
    for packet in merge(shown, heard, key=_when):
        film.mux(packet)


def _when(packet: Packet[Any]) -> Fraction:
    return (packet.dts or 0) * (packet.time_base or Fraction(0))
