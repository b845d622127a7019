"""A goal that is missed, or that nobody measured, is said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.metrics import GOALS, measure, missed


def test_a_missed_goal_is_named_and_one_slow_round_misses_none() -> None:
    kept = {name: [goal / 2, goal, 10 * goal] for name, goal in GOALS.items()}
    assert missed(kept) == []
    first = next(iter(GOALS))
    assert missed(kept | {first: [GOALS[first] * 1.01] * 3}) == [first]


def test_what_was_not_measured_is_not_kept() -> None:
    assert missed({}) == list(GOALS)


@pytest.mark.slow
def test_one_round_measures_every_goal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # It sets addresses of its own.
    monkeypatch.setattr(os, "environ", os.environ.copy())
    assert set(GOALS) <= set(measure(f"sqlite:///{tmp_path / 'ledger.db'}", 1))
