"""What can be wrong with the sound of a take for which sound was bought. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from aiprod.catalog import Quality
from aiprod.qa.checks import Expected, Wrong, at
from aiprod.qa.ear import WINDOW_SECONDS
from aiprod.qa.measure import Measurements
from aiprod.qa.spans import Span, longest, spans, together

__all__ = ["silent_part", "sound"]

#: A channel is dead this far below the loudest one, in dB, and below this level, in dBFS.
_DEAD_BELOW, _DEAD_DBFS = 30.0, -70.0


def silent_part(m: Measurements, t: Quality) -> float:
    """The part of the clip without sound: quiet windows, and what the sound is shorter than the picture."""
    loud = sum(level >= t.silence_dbfs for level in m.levels) * WINDOW_SECONDS
    return max(0.0, 1 - loud / m.seconds) if m.seconds else 1.0


def sound(m: Measurements, expected: Expected, t: Quality) -> Iterator[Wrong]:
    """Yield what is wrong with the sound; silence is told alone, it is everything else too."""
    if not expected.audio:
        return
    if not m.levels:
        why = "its sound cannot be decoded" if m.has_audio else "there is no sound stream"
        yield Wrong("audio_missing", f"Sound was bought, and {why}.")
        return
    quiet = silent_part(m, t)
    if quiet >= t.silence_ratio:
        said = f"{quiet:.0%} of the clip is silent (below {t.silence_dbfs:g} dBFS)."
        yield Wrong("audio_silent", said, (), quiet, t.silence_ratio, "part of the clip")
        return
    yield from _holes(m, t)
    yield from _quality(m, t)


def _holes(m: Measurements, t: Quality) -> Iterator[Wrong]:
    """Sound that is not there all along."""
    missing = m.seconds - (m.audio_start + m.audio_seconds)
    late = m.audio_start
    if missing > t.audio_tolerance_seconds or late > t.audio_tolerance_seconds:
        ends = (
            Span(start=m.audio_start + m.audio_seconds, seconds=max(0.0, missing))
            if missing > late
            else Span(start=0, seconds=late)
        )
        said = f"The sound is {ends.seconds:.2f} s shorter than the picture, {at((ends,))}."
        yield Wrong("audio_short", said, (ends,), ends.seconds, t.audio_tolerance_seconds, "s")
    silent = np.array(m.levels) < t.silence_dbfs
    starts = m.audio_start + np.arange(len(silent)) * WINDOW_SECONDS
    gaps = tuple(span for span in spans(silent, starts, m.audio_start + m.audio_seconds) if span.seconds >= t.gap_seconds)
    if gaps:
        yield Wrong(
            "audio_gap", f"The sound is gone for {longest(gaps):.2f} s, {at(gaps)}.", gaps, longest(gaps), t.gap_seconds, "s"
        )
    drops = tuple(drop for drop in m.dropouts if all(abs(drop.start - gap.start) > 0.1 for gap in gaps))
    if drops:
        yield Wrong("audio_dropout", f"The sound breaks off {at(drops)}.", drops, together(drops), 0, "s")


def _quality(m: Measurements, t: Quality) -> Iterator[Wrong]:
    loudest = max(m.channels, default=0.0)
    dead = [number for number, level in enumerate(m.channels) if level < min(_DEAD_DBFS, loudest - _DEAD_BELOW)]
    if dead and len(m.channels) == 2:
        side = ("left", "right")[dead[0]]
        yield Wrong("dead_channel", f"There is no sound on the {side}.", (), m.channels[dead[0]], _DEAD_DBFS, "dBFS")
    if m.clipped > t.clipped_ratio:
        yield Wrong(
            "audio_clipped", "The sound is overdriven and distorts.", (), m.clipped, t.clipped_ratio, "part of the samples"
        )
    if m.lufs is not None and m.lufs > t.loud_lufs:
        yield Wrong("audio_loud", f"The sound is far too loud ({m.lufs:.1f} LUFS).", (), m.lufs, t.loud_lufs, "LUFS")
