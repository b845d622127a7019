"""Cuts takes to length and joins them into one file that starts playing before it is loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from heapq import merge
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet

from aiprod.assembly import picture, sound
from aiprod.errors import JobFailed, StorageError
from aiprod.models import Noun

__all__ = ["Clip", "assemble"]


class Clip(Noun):
    """One accepted take and how many seconds of it the video shows, from its start."""

    path: Path
    seconds: float


def assemble(clips: Sequence[Clip], into: Path, *, width: int, height: int, fps: int, audio: bool) -> None:
    """Write the finished video to `into` (MP4: H.264, and AAC where `audio`), whole or not at all.

    Clip n takes its place at the frame where the seconds before it end, so rounding never adds up. A take that is
    a little short holds its last frame; one without sound is silent. The picture is copied when no take needs a
    cut, another size or another rate.

    Raises `StorageError` when a take cannot be read or the file cannot be written.
    """
    if not clips:
        raise JobFailed("There is no take to assemble; every shot needs an accepted one.")
    wanted = picture.Format(width, height, fps)
    unfinished = into.with_name(f".{into.name}.part")
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        sources = [picture.probe(clip.path, frames) for clip, frames in zip(clips, _frames(clips, fps), strict=True) if frames]
        with av.open(str(unfinished), "w", format="mp4", options={"movflags": "+faststart"}) as film:
            _mux(film, sources, wanted, audio)
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


def _mux(film: OutputContainer, sources: Sequence[picture.Source], wanted: picture.Format, audio: bool) -> None:
    shown: Iterator[Packet[Any]]
    if picture.copies(sources, wanted):
        with av.open(str(sources[0].path)) as first:
            stream = film.add_stream_from_template(picture.video_of(first, sources[0].path))
        shown = picture.copied(sources, wanted, stream)
    else:
        shown = picture.encoded(sources, wanted, picture.encoder(film, wanted))
    heard = sound.encoded(sources, wanted.fps, sound.encoder(film)) if audio else iter(())
    # In the order of their times, or the muxer would hold one of the two back in memory.
    for packet in merge(shown, heard, key=_when):
        film.mux(packet)


def _when(packet: Packet[Any]) -> Fraction:
    return (packet.dts or 0) * (packet.time_base or Fraction(0))
