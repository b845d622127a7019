"""What measurements mean for a take: findings, a score and a verdict. Pure: the same numbers give the same judgement."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Literal, TypeAlias

from aiprod.catalog import Preset, Quality, Semantic
from aiprod.models import Finding, QAReport, Verdict
from aiprod.qa.checks import ALLOWED, PICTURE, Check, Expected, Wrong, broken
from aiprod.qa.measure import Measurements
from aiprod.qa.semantic import Opinion, quality
from aiprod.qa.sound_checks import silent_part, sound
from aiprod.qa.spans import longest, together

__all__ = ["Expected", "judge", "report", "unfit", "verdict", "with_opinion"]

#: A report names this many stretches of a finding, the first ones.
_MOST_STRETCHES = 20

_CHECKS: tuple[Check, ...] = (*PICTURE, sound)

Severity: TypeAlias = Literal["veto", "major", "minor", "info"]


def judge(measurements: Measurements, expected: Expected, thresholds: Quality) -> tuple[Finding, ...]:
    """Return everything that is wrong, as it weighs in `thresholds` (those of the job's preset).

    A file that shows nothing is judged for that alone. What `expected` allows is still told, and weighs nothing.
    """
    allowed = {code for word in expected.allows for code in ALLOWED[word]}
    return tuple(
        Finding(
            code=wrong.code,
            severity="info" if wrong.code in allowed else thresholds.severities[wrong.code],
            evidence=wrong.sentence,
            when=tuple((round(s.start, 3), round(s.start + s.seconds, 3)) for s in wrong.when[:_MOST_STRETCHES]),
            measured=None if wrong.measured is None else round(wrong.measured, 4),
            threshold=wrong.threshold,
            unit=wrong.unit,
        )
        for wrong in _everything_wrong(measurements, expected, thresholds)
    )


def _everything_wrong(m: Measurements, expected: Expected, t: Quality) -> Iterator[Wrong]:
    yield from broken(m)
    if m.readable and m.frames:
        for check in _CHECKS:
            yield from check(m, expected, t)


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


def with_opinion(report: QAReport, opinion: Opinion, rules: Semantic) -> QAReport:
    """Return the report with what a judge thinks of the take. What was not scored stays None, with the reason."""
    if opinion.semantic is None:
        return report.model_copy(update={"unscored_why": opinion.why, "judgement": opinion.judgement})
    return report.model_copy(
        update={
            "semantic": opinion.semantic,
            "semantic_status": "scored",
            "quality": quality(report.technical, opinion.semantic, rules),
            "judgement": opinion.judgement,
            "calibrated": rules.calibration is not None,
        }
    )


def unfit(report: QAReport, thresholds: Quality) -> bool:
    """Whether the technical check alone rejects a take: whatever a judge would say of it, it does not ship."""
    return report.vetoed or report.technical < thresholds.technical_floor


def verdict(report: QAReport, *, embedded: bool, preset: Preset, thresholds: Quality, floor: float) -> Verdict:
    """Return what may happen with a take. `floor` is the job's quality floor, 0 to 1.

    A labelled preview needs no score of its content. A take that nobody scored ships only where the preset says so; one that
    a judge has doubts about never ships without a person.
    """
    if unfit(report, thresholds):
        return Verdict.REJECTED
    if embedded:
        return Verdict.ACCEPTED
    if report.judgement is not None and report.judgement.doubts:
        return Verdict.NEEDS_PERSON
    if report.quality is None:
        return Verdict.ACCEPTED if preset.unscored == "deliver" else Verdict.NEEDS_PERSON
    return Verdict.ACCEPTED if report.quality >= floor else Verdict.REJECTED


def _measured(m: Measurements, t: Quality) -> dict[str, float | int | str | bool | None]:
    """The numbers a person reads beside the findings."""
    plain = ("container", "codec", "width", "height", "frames", "complete", "lone_repeats", "audio_codec")
    rounded = (
        "seconds", "fps", "mean_fps", "repeats", "stuck", "flicker", "flashes", "colour", "brightness", "contrast", "sharpness",
        "blocks", "noise", "comb", "motion", "clipped", "lufs",
    )  # fmt: skip
    return {
        "bytes": m.size,
        **{name: getattr(m, name) for name in plain},
        **{name: None if (value := getattr(m, name)) is None else round(value, 4) for name in rounded},
        "black_seconds": round(together(m.black), 3),
        "longest_freeze_seconds": round(longest(m.frozen), 3),
        "still_ratio": round(m.still, 4) if m.still is not None else None,
        "cuts": len(m.cuts),
        "silence_ratio": round(silent_part(m, t), 4) if m.has_audio else None,
    }
