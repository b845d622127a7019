"""What measurements mean for a take: findings, a score and a verdict. Pure: the same numbers give the same judgement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Literal, TypeAlias

from aiprod.catalog import Preset, Quality
from aiprod.models import Finding, Noun, QAReport, Verdict
from aiprod.qa.measure import Measurements
from aiprod.qa.senses import WINDOW_SECONDS

__all__ = ["Expected", "judge", "report", "verdict"]

#: Black for longer than this part of the clip leaves nothing to show.
_MOSTLY_BLACK = 0.8
#: A clip whose frames never get this far from the first one (mean, 99.9th percentile; codes) is a still.
_NEVER_LEAVES = (1.2, 12.0)
#: A picture this much smaller than ordered, on its short side, is another resolution and not a rounded one.
_SHORT_SIDE = 0.98

Severity: TypeAlias = Literal["veto", "major", "minor", "info"]


class Expected(Noun):
    """What was bought: `seconds` as bought (not as asked), picture in pixels, and whether sound was ordered."""

    seconds: float
    fps: float
    width: int
    height: int
    audio: bool


Check: TypeAlias = Callable[[Measurements, Expected, Quality], Iterator[Finding]]


def judge(measurements: Measurements, expected: Expected, thresholds: Quality) -> tuple[Finding, ...]:
    """Return everything that is wrong. A file that shows nothing is judged for that alone."""
    broken = tuple(_broken(measurements))
    if not measurements.readable or not measurements.frames:
        return broken
    return broken + tuple(finding for check in _CHECKS for finding in check(measurements, expected, thresholds))


def report(
    take_id: str,
    measurements: Measurements,
    expected: Expected,
    thresholds: Quality,
    *,
    semantic_status: Literal["scored", "unscored", "not_applicable"],
) -> QAReport:
    """Return the report of one take. `semantic` and `quality` stay None until somebody looked at the picture."""
    findings = judge(measurements, expected, thresholds)
    weights: dict[Severity, float] = {
        "veto": 0.0,
        "major": thresholds.major_weight,
        "minor": thresholds.minor_weight,
        "info": 1.0,
    }
    return QAReport(
        take_id=take_id,
        technical=round(prod(weights[finding.severity] for finding in findings), 4),
        semantic_status=semantic_status,
        findings=findings,
        measured=_measured(measurements, thresholds),
        thresholds=thresholds.version,
    )


def verdict(report: QAReport, *, embedded: bool, preset: Preset, thresholds: Quality, floor: float) -> Verdict:
    """Return what may happen with a take. `floor` is the job's quality floor, 0 to 1.

    A labelled preview needs no score of its content. A take that nobody scored ships only where the preset says so.
    """
    if report.vetoed or report.technical < thresholds.technical_floor:
        return Verdict.REJECTED
    if embedded:
        return Verdict.ACCEPTED
    if report.quality is None:
        return Verdict.ACCEPTED if preset.unscored == "deliver" else Verdict.NEEDS_PERSON
    return Verdict.ACCEPTED if report.quality >= floor else Verdict.REJECTED


# --- the checks -----------------------------------------------------------------------------------------


def _finding(code: str, severity: Severity, evidence: str) -> Iterator[Finding]:
    yield Finding(code=code, severity=severity, evidence=evidence)


def _broken(m: Measurements) -> Iterator[Finding]:
    if m.truncation:
        yield from _finding("truncated", "veto", m.truncation)
    if not m.readable:
        yield from _finding("unreadable", "veto", m.problem)
    elif not m.frames:
        yield from _finding("no_frames", "veto", m.problem)
    if m.stream_errors:
        yield from _finding("bitstream_errors", "veto", f"{m.stream_errors} errors while decoding; first: {m.first_stream_error}")


def _duration(m: Measurements, expected: Expected, t: Quality) -> Iterator[Finding]:
    allowed = max(t.duration_tolerance * expected.seconds, t.duration_tolerance_seconds)
    if abs(m.seconds - expected.seconds) > allowed:
        yield from _finding("duration", "major", f"{m.seconds:.2f} s, bought {expected.seconds:g} s")


def _fps(m: Measurements, expected: Expected, t: Quality) -> Iterator[Finding]:
    # One frame has no rate; its length says what is wrong with it.
    if m.frames > 1 and (m.fps is None or abs(m.fps / expected.fps - 1) > t.fps_tolerance):
        yield from _finding("fps", "major", f"{m.fps or 0:.2f} frames per second, bought {expected.fps:g}")


def _picture_size(m: Measurements, expected: Expected, t: Quality) -> Iterator[Finding]:
    shape = expected.width / expected.height
    if min(m.width, m.height) < _SHORT_SIDE * min(expected.width, expected.height):
        yield from _finding("resolution", "major", f"{m.width}x{m.height}, bought {expected.width}x{expected.height}")
    if abs(m.aspect / shape - 1) > t.aspect_tolerance:
        yield from _finding("aspect", "major", f"shown {m.aspect:.3f} to 1, bought {shape:.3f} to 1")


def _black(m: Measurements, _: Expected, t: Quality) -> Iterator[Finding]:
    dark = sum(span.seconds for span in m.black)
    if dark < t.black_seconds or not m.seconds:
        return
    severity: Severity = "veto" if dark > _MOSTLY_BLACK * m.seconds else "major"
    yield from _finding("black", severity, f"{dark:.2f} s of {m.seconds:.2f} s are black, from {m.black[0].start:.2f} s on")


def _standing(m: Measurements, _: Expected, t: Quality) -> Iterator[Finding]:
    """A still, or else a stretch that is frozen: never both."""
    if m.still is None or m.departure is None:
        return
    dark = sum(span.seconds for span in m.black)
    never_leaves = m.departure[0] < _NEVER_LEAVES[0] and m.departure[1] <= _NEVER_LEAVES[1]
    if m.still >= t.static_ratio or (never_leaves and dark < t.black_seconds):
        yield from _finding("static", "veto", f"{m.still:.0%} of the frames equal the one before; the picture does not move")
        return
    # A run of n equal frames is n - 1 steps long, and starts anywhere within a frame.
    least = t.freeze_seconds - 1.5 / (m.fps or 24)
    worst = max(m.frozen, key=lambda span: span.seconds, default=None)
    if worst is not None and worst.seconds >= least:
        yield from _finding("frozen", "major", f"{worst.seconds:.2f} s from {worst.start:.2f} s on show one frame")


def _audio(m: Measurements, expected: Expected, t: Quality) -> Iterator[Finding]:
    if not expected.audio:
        return
    if not m.levels:
        why = "its sound cannot be decoded" if m.has_audio else "there is no sound stream"
        yield from _finding("audio_missing", "major", f"sound was bought, {why}")
        return
    quiet = _silence(m, t)
    if quiet >= t.silence_ratio:
        yield from _finding("audio_silent", "major", f"{quiet:.0%} of the clip is below {t.silence_dbfs:g} dBFS or has no sound")


#: Everything a file that can be seen is checked for. A new check is a function here and nothing else.
_CHECKS: tuple[Check, ...] = (_duration, _fps, _picture_size, _black, _standing, _audio)


def _silence(m: Measurements, t: Quality) -> float:
    """The part of the clip without sound: quiet windows, and what the sound is shorter than the picture."""
    loud = sum(level >= t.silence_dbfs for level in m.levels) * WINDOW_SECONDS
    return max(0.0, 1 - loud / m.seconds) if m.seconds else 1.0


def _measured(m: Measurements, t: Quality) -> dict[str, float | int | str | bool | None]:
    """The numbers a person reads beside the findings."""
    return {
        "bytes": m.size,
        "container": m.container,
        "codec": m.codec,
        "width": m.width,
        "height": m.height,
        "frames": m.frames,
        "seconds": round(m.seconds, 3),
        "fps": round(m.fps, 3) if m.fps else None,
        "black_seconds": round(sum(span.seconds for span in m.black), 3),
        "longest_freeze_seconds": round(max((span.seconds for span in m.frozen), default=0.0), 3),
        "still_ratio": round(m.still, 4) if m.still is not None else None,
        "audio_codec": m.audio_codec,
        "silence_ratio": round(_silence(m, t), 4) if m.has_audio else None,
        "complete": m.complete,
    }
