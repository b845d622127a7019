"""What the answers of a judge come to: a score with its spread and its doubts, or the reason why there is none. Pure.

Only verdicts and numbers of the agreed shape are read. No sentence of an answer, whatever it says, decides anything.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aiprod.catalog import Calibration, Semantic
from aiprod.models import Answered, Element, Judgement, JudgeRequest
from aiprod.qa.rubric import RATINGS, Asked, asked, sample_name

__all__ = ["Opinion", "Sample", "opinion", "quality", "read"]

Word = Literal["yes", "partly", "no", "cannot_tell"]
_WORTH: Mapping[Word, float] = {"yes": 1.0, "partly": 0.5, "no": 0.0}
_LONGEST = 300


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str
    evidence: str = ""
    verdict: Word


class _Scale(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    reason: str = ""
    score: Annotated[int, Field(ge=0, le=5)]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")

    checklist: list[_Line]
    adherence: _Scale
    motion: _Scale
    artefacts: _Scale
    consistency: _Scale


@dataclass(frozen=True)
class Sample:
    """One answer, read: a word per element, and points per scale (None: cannot tell)."""

    words: Mapping[str, Word]
    evidence: Mapping[str, str]
    points: Mapping[str, int | None]


@dataclass(frozen=True)
class Opinion:
    """What a judge thinks of a take: `semantic` 0 to 1, or None with the reason. `judgement` is None when nobody was asked."""

    semantic: float | None = None
    why: str = ""
    judgement: Judgement | None = None


def read(request: JudgeRequest, answered: Answered) -> Sample | str:
    """Return a sample, or why this answer is none."""
    if answered.ended:
        return f"the judge stopped early ({answered.ended})"
    lines = asked(json.loads(request.question)["prompt"], sample=sample_name(request.take_id, request.seed))
    if lines.question != request.question:
        return "the judge was asked something else"
    try:
        said = _Answer.model_validate_json(answered.text)
    except ValidationError:
        return "the answer cannot be read"
    known = {line.id: line for line in said.checklist if line.id in lines.elements or line.id == lines.decoy}
    if len(known) < len(said.checklist):
        return "the answer has lines that were not asked"
    if lines.decoy not in known or known[lines.decoy].verdict != "no":
        return _TALKED_INTO
    return _sample(lines, known, said)


#: The reason for an answer that said yes to something that is not there.
_TALKED_INTO = "the judge saw something that is not there: it did not look, or it was told what to say"


def _sample(lines: Asked, known: Mapping[str, _Line], said: _Answer) -> Sample:
    words: dict[str, Word] = {}
    evidence: dict[str, str] = {}
    for of, element in lines.elements.items():
        # A line that was left out is one that it could not tell.
        words[element] = known[of].verdict if of in known else "cannot_tell"
        evidence[element] = " ".join(known[of].evidence.split())[:_LONGEST] if of in known else ""
    return Sample(words, evidence, {name: getattr(said, name).score or None for name in RATINGS})


def opinion(read_or_not: Sequence[Sample | str], rules: Semantic, *, judge: str, model: str, rubric: str, kin: bool) -> Opinion:
    """Return what some samples come to: medians, how far they lie apart, and what a person has to look at.

    Fewer than half of the samples that were wanted are no score. One that was talked into something is no score
    either, and a person looks: the others heard the same.
    """
    samples = [one for one in read_or_not if isinstance(one, Sample)]
    troubles = list(dict.fromkeys(one for one in read_or_not if isinstance(one, str)))
    said = Judgement(judge=judge, model=model, rubric=rubric, asked=len(read_or_not), answered=len(samples), kin=kin)
    if _TALKED_INTO in troubles:
        return Opinion(why=_TALKED_INTO, judgement=said.model_copy(update={"doubts": (_TALKED_INTO,)}))
    if len(samples) * 2 < rules.samples:
        return Opinion(why="; ".join(troubles) or "the judge did not answer", judgement=said)
    elements = _elements(samples)
    dimensions = {"elements": _shown(elements), **{name: _points(samples, name) for name in RATINGS}}
    spread = {name: _spread(samples, name) for name in RATINGS}
    scored = {name: value for name, value in dimensions.items() if value is not None}
    weights: dict[str, float] = dict(rules.weights.items())
    coverage = sum(weights.get(name, 0.0) for name in scored)
    doubts = tuple(_doubts(elements, dimensions, spread, coverage, rules))
    full = said.model_copy(
        update={
            "coverage": round(coverage, 4),
            "dimensions": dimensions,
            "spread": spread,
            "elements": elements,
            "doubts": doubts,
        }
    )
    if not coverage:
        return Opinion(why="the judge could not tell anything", judgement=full)
    total = sum(weights.get(name, 0.0) * value for name, value in scored.items())
    return Opinion(semantic=round(total / coverage, 4), judgement=full)


def quality(technical: float, semantic: float, rules: Semantic) -> float:
    """Return the one score of a take, 0 to 1: geometric, so that a bad side cannot be bought back by a good one."""
    raw = technical**rules.technical_share * semantic ** (1 - rules.technical_share)
    return round(_calibrated(raw, rules.calibration), 4)


def _calibrated(raw: float, calibration: Calibration | None) -> float:
    if calibration is None:
        return raw
    points = calibration.points
    if raw <= points[0][0]:
        return points[0][1]
    for (left, low), (right, high) in pairwise(points):
        if raw <= right:
            return low + (high - low) * (raw - left) / (right - left)
    return points[-1][1]


def _elements(samples: Sequence[Sample]) -> tuple[Element, ...]:
    """What most samples said of every element; a tie is nobody's word."""
    found = []
    for text in samples[0].words:
        votes = Counter(one.words.get(text, "cannot_tell") for one in samples)
        (word, most), *others = votes.most_common()
        sure = word != "cannot_tell" and (not others or most > others[0][1])
        shown = word if sure else None
        evidence = next((one.evidence[text] for one in samples if one.words.get(text) == word and one.evidence.get(text)), "")
        found.append(Element.model_validate({"text": text, "shown": shown, "evidence": evidence}))
    return tuple(found)


def _shown(elements: Sequence[Element]) -> float | None:
    known = [_WORTH[element.shown] for element in elements if element.shown is not None]
    return round(sum(known) / len(known), 4) if known else None


def _points(samples: Sequence[Sample], name: str) -> float | None:
    known = [points for one in samples if (points := one.points[name]) is not None]
    return round((median(known) - 1) / 4, 4) if len(known) * 2 > len(samples) else None


def _spread(samples: Sequence[Sample], name: str) -> int:
    known = [points for one in samples if (points := one.points[name]) is not None]
    return max(known) - min(known) if known else 0


def _doubts(
    elements: Sequence[Element],
    dimensions: Mapping[str, float | None],
    spread: Mapping[str, int],
    coverage: float,
    rules: Semantic,
) -> list[str]:
    unsure = [element.text for element in elements if element.shown is None]
    wide = [name for name, points in spread.items() if points >= rules.wide_spread]
    untold = [name for name in RATINGS if dimensions[name] is None]
    doubts = [f"the judge cannot tell whether it shows: {'; '.join(unsure)}"] if unsure else []
    doubts += [f"its samples lie far apart on {', '.join(wide)}"] if wide else []
    doubts += [f"it cannot tell {', '.join(untold)}"] if untold else []
    doubts += [f"it could tell {coverage:.0%} of what is scored"] if coverage < rules.least_coverage else []
    return doubts
