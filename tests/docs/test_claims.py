"""What README and the landing page claim in figures is what the pages behind them, and the code, say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aiprod.catalog import load
from tests.safety.points import POINTS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
LANDING = (ROOT / "docs" / "landing.html").read_text()
SAFETY = (ROOT / "docs" / "safety.md").read_text()


def storms() -> list[str]:
    """The figures of the last campaign, as the safety page tells them: storms, processes, killed, faults, billed, parked."""
    said = re.search(
        r"([\d,]+) storms, ([\d,]+) processes, ([\d,]+) killed, ([\d,]+) other faults, "
        r"([\d,]+) billable accepts, ([\d,]+) purchases",
        SAFETY,
    )
    assert said is not None
    return list(said.groups())


@pytest.mark.parametrize("page", [README, LANDING], ids=["README", "landing"])
def test_the_storms_are_those_of_the_safety_page(page: str) -> None:
    assert [figure for figure in storms() if not re.search(rf"(?<![\d,]){figure}(?![\d,])", page)] == []
    assert "overspent $0, billed twice 0, paid clips lost 0, unexplained holds 0" in SAFETY


def test_the_usual_designs_are_those_of_the_safety_page() -> None:
    """Overspent, accepted twice, lost, parked, delivered; the page behind has the number of accepts and storms besides."""
    shown = [re.findall(r"<td>([^<]*)</td>", row) for row in re.findall(r"<tr[^>]*>(<td>.*?)</tr>", LANDING)]
    table = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in SAFETY.splitlines()
        if re.match(r"\| [^|]+\| \d+ \|", line)
    ]
    known = {design.partition(" (")[0]: [over.partition(" in ")[0], *rest] for design, _, over, *rest in table}

    assert {design: rest for design, *rest in shown} == known


def test_the_counts_of_the_landing_page_are_those_of_the_code() -> None:
    kinds = len(load(ROOT / "include" / "config").quality.severities)

    assert f'<div class="zero">{kinds}</div>' in LANDING and f"{kinds} kinds of defects" in LANDING
    assert f"any of {len(POINTS)} points" in LANDING


def test_nobody_is_told_that_a_live_vendor_was_met() -> None:
    assert "Nothing here has ever met a live vendor" in README
    assert "It has never met a live vendor" in LANDING
