"""The tiers' page says what the catalogue says, and names objectives and alerts that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aiprod.catalog import Preset, load

ROOT = Path(__file__).parents[2]
CATALOGUE = load(ROOT / "include" / "config")
TIERS = ("quick_social", "brand_campaign", "premium_spot")


def rows(heading: str) -> dict[str, list[str]]:
    """The rows of a section's table by their first cell."""
    section = (ROOT / "docs" / "sla.md").read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")]
    return {first: rest for first, *rest in cells}


def told(preset: Preset) -> dict[str, str]:
    """What the page has to say of a preset."""
    limit = preset.auto_approve_usd
    return {
        "longest": f"{preset.max_seconds:g} s",
        "picture": preset.resolution,
        "quality floor": f"{preset.quality_floor:g}",
        "a take that nobody scored": "is delivered, labelled so" if preset.unscored == "deliver" else "a person is asked",
        "money is approved by": f"nobody up to ${limit:g}, else a person" if limit is not None else "a person",
        "an approval is waited for": f"{preset.approval_hours:g} h",
        "a person looks at the finished video": "yes" if preset.second_review else "no",
        "attempts per shot": f"{preset.attempts_per_shot}",
        "budget where the order names none": f"${preset.budget_usd:g}",
        "below the floor when money is short": "where the order says `degrade`" if preset.may_degrade else "never",
    }


@pytest.mark.parametrize("tier", TIERS)
def test_the_page_says_what_the_preset_says(tier: str) -> None:
    page = rows("What one gets")
    column = page[""].index(f"`{tier}`")

    assert {first: cells[column] for first, cells in page.items() if first and "---" not in first} == told(
        CATALOGUE.presets[tier]
    )


def test_every_preset_is_a_tier_of_the_page() -> None:
    assert set(CATALOGUE.presets) == set(TIERS)


def test_every_promise_is_measured_by_something_that_there_is() -> None:
    known = {*CATALOGUE.alerts, *CATALOGUE.objectives}
    metrics = set(CATALOGUE.metrics)
    for promise, (measure, watch) in rows("What is promised, and what measures it").items():
        if promise in ("promise", "---"):
            continue
        named = re.findall(r"`(\w+)`", watch)
        assert named and set(named) <= known, promise
        assert set(re.findall(r"metric `(\w+)`", measure)) <= metrics, promise


def test_every_objective_is_a_promise_of_the_page() -> None:
    watched = " ".join(cells[-1] for cells in rows("What is promised, and what measures it").values())

    assert [name for name in CATALOGUE.objectives if f"`{name}`" not in watched] == []
