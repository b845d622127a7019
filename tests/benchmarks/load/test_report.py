"""The report says what broke, and never that something held which nobody looked at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.load.report import Figure, Outcome, broken, write


def outcome(*figures: Figure, trouble: str = "") -> Outcome:
    return Outcome("ten", "Ten at once", list(figures), 12.0, trouble)


KEPT = Figure("delivered", 10, least=10)


@pytest.mark.parametrize(
    ("figure", "kept"),
    [
        (Figure("at least", 2.0, "x", least=2), True),
        (Figure("at least", 1.99, "x", least=2), False),
        (Figure("at most", 0, "$", most=0), True),
        (Figure("at most", 0.01, "$", most=0), False),
        (Figure("exactly", 19, least=19, most=19), True),
        (Figure("exactly", 20, least=19, most=19), False),
        (Figure("told only", 3.5, "s"), True),
    ],
)
def test_a_figure_is_kept_inside_its_bounds_and_nowhere_else(figure: Figure, kept: bool) -> None:
    assert figure.kept is kept


def test_what_could_not_be_measured_keeps_no_promise() -> None:
    assert broken([outcome(Figure("overspend", None, "$", most=0))]) == ["ten: overspend is not measured, promised ≤ 0"]


def test_a_missed_goal_breaks_nothing() -> None:
    assert broken([outcome(Figure("times as fast", 3.0, "x", least=2, goal="≥ 8"))]) == []


def test_a_scenario_that_ended_early_is_broken_whatever_it_had_measured() -> None:
    assert broken([outcome(KEPT, trouble="AirflowError: it ended\nwith logs")]) == ["ten: ended early: AirflowError: it ended"]


def test_nothing_measured_is_no_promise_kept() -> None:
    assert broken([]) != []
    assert broken([outcome()]) != []
    assert broken([outcome(Figure("seconds", 3.0, "s"))]) != []


def test_both_files_say_what_broke_and_how_to_do_it_again(tmp_path: Path) -> None:
    write([outcome(KEPT, Figure("duplicates", 1, most=0))], {"seed": 9, "clips": 2_000}, tmp_path)

    said = json.loads((tmp_path / "report.json").read_text())
    assert (said["kept"], said["seed"], said["clips"]) == (False, 9, 2_000)
    assert said["broken"] == ["ten: duplicates is 1, promised ≤ 0"]
    assert said["scenarios"]["ten"]["figures"]["delivered"] == {
        "value": 10, "unit": "", "promise": "≥ 10", "kept": True, "goal": "", "said": ""
    }  # fmt: skip
    page = (tmp_path / "report.md").read_text()
    assert "A promise was broken" in page
    assert "| duplicates | 1 | ≤ 0 **broken** |" in page
    assert "`--only ten`" in page


def test_a_page_without_broken_promises_says_so(tmp_path: Path) -> None:
    write([outcome(KEPT)], {"seed": 9}, tmp_path)

    assert "**Every promise held.**" in (tmp_path / "report.md").read_text()
    assert "broken" not in (tmp_path / "report.md").read_text().casefold()
