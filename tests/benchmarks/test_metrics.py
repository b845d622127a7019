"""A goal that is missed, or that nobody measured, is said."""

from __future__ import annotations

from benchmarks.metrics import GOALS, missed


def test_a_missed_goal_is_named_and_one_slow_round_misses_none() -> None:
    kept = {name: [goal / 2, goal, 10 * goal] for name, goal in GOALS.items()}
    assert missed(kept) == []
    first = next(iter(GOALS))
    assert missed(kept | {first: [GOALS[first] * 1.01] * 3}) == [first]


def test_what_was_not_measured_is_not_kept() -> None:
    assert missed({}) == list(GOALS)
