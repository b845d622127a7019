"""One figure of ours beside another's, or beside a limit: the words for it, and who won."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Figures", "Report", "Row", "Verdict", "beside", "even", "none_of", "number", "ranged", "within"]

#: `better` and `worse` are said of a peer or of another design, `kept` and `missed` of a limit; `even` is within 5 %.
Verdict = Literal["better", "even", "worse", "kept", "missed", ""]
_EVEN = 0.05
Report = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One figure of ours beside another's, or beside a limit. All words, ready to be read."""

    what: str
    ours: str
    other: str
    ratio: str = ""
    spread: str = ""
    verdict: Verdict = ""


@dataclass(frozen=True)
class Figures:
    """The middle of some rounds, the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, said: Mapping[str, float] | Sequence[float]) -> Figures:
        if isinstance(said, Mapping):
            return cls(said["median"], said["least"], said["most"])
        return cls(statistics.median(said), min(said), max(said))


def number(value: float) -> str:
    """Three digits that count, no exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.1g}"


def beside(what: str, ours: Figures, theirs: Figures, name: str, unit: str, *, more_is_better: bool = False) -> Row:
    """Ours beside a peer's, measured in the same run."""
    ratio = ours.median / theirs.median if theirs.median else float("inf")
    verdict = even(ratio, more_is_better=more_is_better)
    spread = f"{ranged(ours)}; {ranged(theirs)}"
    return Row(
        what, f"{number(ours.median)} {unit}", f"{name}: {number(theirs.median)} {unit}", f"{number(ratio)} ×", spread, verdict
    )


def even(ratio: float, *, more_is_better: bool = False) -> Verdict:
    """What a ratio of ours to theirs means."""
    if abs(ratio - 1) <= _EVEN:
        return "even"
    return "better" if (ratio > 1) == more_is_better else "worse"


def within(what: str, ours: Figures, limit: float, unit: str) -> Row:
    """Ours beside a limit that it must not be above."""
    verdict: Verdict = "kept" if ours.median <= limit else "missed"
    ratio = f"{number(ours.median / limit)} ×" if limit else ""
    return Row(
        what, f"{number(ours.median)} {unit}".strip(), f"at most {number(limit)} {unit}".strip(), ratio, ranged(ours), verdict
    )


def none_of(what: str, count: float, unit: str = "") -> Row:
    """Something that must not happen at all."""
    return Row(what, f"{number(count)} {unit}".strip(), "none", verdict="kept" if count == 0 else "missed")


def ranged(figures: Figures) -> str:
    """The least and the most, where there was more than one."""
    return "one round" if figures.least == figures.most else f"{number(figures.least)}–{number(figures.most)}"
