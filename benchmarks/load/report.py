"""What the scenarios came to, as `report.json` for programs and `report.md` for people; and which promises broke."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.kept import measured

__all__ = ["Figure", "Outcome", "broken", "write"]


@dataclass(frozen=True)
class Figure:
    """One measured value. With `least` or `most` it is a promise; without, it is told and binds nobody.

    :param value: What was measured; None: it could not be, which breaks a promise.
    :param goal: What would be ideal, in words; missing it breaks nothing.
    :param said: More about it, in words.
    """

    name: str
    value: float | None
    unit: str = ""
    least: float | None = None
    most: float | None = None
    goal: str = ""
    said: str = ""

    @property
    def promised(self) -> bool:
        return self.least is not None or self.most is not None

    @property
    def kept(self) -> bool:
        """Whether the promise held; a figure that is none is always kept."""
        if not self.promised:
            return True
        if self.value is None:
            return False
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)

    @property
    def promise(self) -> str:
        """The promise in words."""
        bounds = [f"{sign} {_shown(bound)}" for sign, bound in (("≥", self.least), ("≤", self.most)) if bound is not None]
        if self.least is not None and self.least == self.most:
            bounds = [_shown(self.least)]
        return " and ".join(bounds)


@dataclass
class Outcome:
    """One scenario: its figures in their order, and what ended it early, if anything did."""

    name: str
    title: str
    figures: list[Figure] = field(default_factory=list)
    seconds: float = 0.0
    trouble: str = ""

    def of(self, name: str) -> Figure:
        """Return a figure by its name. Raises `KeyError`."""
        for figure in self.figures:
            if figure.name == name:
                return figure
        raise KeyError(name)


def broken(outcomes: Sequence[Outcome]) -> list[str]:
    """Which promises did not hold; none when all did. Nothing measured is no promise kept."""
    wrong = [] if outcomes else ["nothing was measured, so nothing is shown"]
    for outcome in outcomes:
        if outcome.trouble:
            wrong.append(f"{outcome.name}: ended early: {outcome.trouble.splitlines()[0]}")
        elif not any(figure.promised for figure in outcome.figures):
            wrong.append(f"{outcome.name}: promised nothing, so nothing is shown")
        wrong += [
            f"{outcome.name}: {figure.name} is {_told(figure)}, promised {figure.promise}"
            for figure in outcome.figures
            if not figure.kept
        ]
    return wrong


def write(outcomes: Sequence[Outcome], facts: dict[str, Any], folder: Path) -> None:
    """Write both files. `facts` are the sizes, the seed and the machine: with them somebody can do it again."""
    folder.mkdir(parents=True, exist_ok=True)
    wrong = broken(outcomes)
    said = {
        "measured": measured(),
        "kept": not wrong,
        "broken": wrong,
        **facts,
        "scenarios": {one.name: _data(one) for one in outcomes},
    }
    _replace(folder / "report.json", json.dumps(said, indent=2) + "\n")
    _replace(folder / "report.md", _page(outcomes, facts, wrong))


def _replace(path: Path, text: str) -> None:
    scratch = path.with_suffix(".new")
    scratch.write_text(text)
    os.replace(scratch, path)


def _data(outcome: Outcome) -> dict[str, Any]:
    figures = {
        figure.name: {
            "value": figure.value,
            "unit": figure.unit,
            "promise": figure.promise,
            "kept": figure.kept,
            "goal": figure.goal,
            "said": figure.said,
        }
        for figure in outcome.figures
    }
    return {"title": outcome.title, "seconds": round(outcome.seconds, 1), "trouble": outcome.trouble, "figures": figures}


def _page(outcomes: Sequence[Outcome], facts: dict[str, Any], wrong: Sequence[str]) -> str:
    page = ["# Load: what this machine carried", "", f"**{'A promise was broken.' if wrong else 'Every promise held.'}**", ""]
    page += [", ".join(_facts(facts)) + ".", ""]
    if wrong:
        page += ["## Broken", "", *(f"- {line}" for line in wrong), ""]
    for outcome in outcomes:
        page += [f"## {outcome.title}", ""]
        if outcome.trouble:
            page += [f"Ended early: {outcome.trouble.splitlines()[0]}", ""]
        page += ["| figure | found | promised | goal | |", "|---|---:|---|---|---|"]
        page += [_row(figure) for figure in outcome.figures]
        page += ["", f"`--only {outcome.name}`, {outcome.seconds:.0f} s.", ""]
    page += ["The vendors' books, written by the vendors' process alone, are the truth that the ledger is judged by.", ""]
    return "\n".join(page)


def _row(figure: Figure) -> str:
    promise = figure.promise if figure.kept else f"{figure.promise} **broken**"
    return f"| {figure.name} | {_told(figure)} | {promise} | {figure.goal} | {figure.said} |"


def _told(figure: Figure) -> str:
    if figure.value is None:
        return "not measured"
    return f"{_shown(figure.value)} {figure.unit}".strip()


def _shown(value: float) -> str:
    """A figure with as many digits as it deserves."""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


def _facts(facts: Mapping[str, Any]) -> Iterator[str]:
    """Every fact in words; those inside others as well."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _facts(value)
        elif isinstance(value, (list, tuple)):
            yield f"{name.replace('_', ' ')} {' '.join(str(one) for one in value)}"
        else:
            yield f"{name.replace('_', ' ')} {value}"
