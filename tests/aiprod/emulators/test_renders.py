"""How an accepted request stands at any moment."""

from __future__ import annotations

from typing import Any

import pytest

from aiprod.emulators.renders import Render, Wanted, charged, standing

BEGUN = 1_000.0


def render(takes: float = 10, deadline: float | None = None, **order: str) -> Render:
    words = {name.replace("_", "-"): value for name, value in order.items()}
    wanted = Wanted(prompt="a", seconds=5, price=100, deadline=deadline)
    return Render("r", "runway", BEGUN, words, wanted, 100, takes=takes)


@pytest.mark.parametrize(("after", "stage"), [(0, "running"), (9.9, "running"), (10, "succeeded"), (9_999, "succeeded")])
def test_a_render_runs_and_then_has_succeeded(after: float, stage: str) -> None:
    assert standing(render(), BEGUN + after).stage == stage


def test_a_queue_comes_before_the_work() -> None:
    queued = render(queue="5")
    assert [standing(queued, BEGUN + t).stage for t in (4, 6, 14, 15)] == ["queued", "running", "running", "succeeded"]


def test_what_hangs_never_ends() -> None:
    assert standing(render(hang=""), BEGUN + 10**9).stage == "running"


@pytest.mark.parametrize(
    ("word", "stage", "billed"),
    [
        ("fail", "failed", False),
        ("fail_charged", "failed", True),
        ("moderated", "failed", False),
        ("moderated_late", "failed", False),
        ("aborted", "aborted", False),
        ("empty", "succeeded", True),
        ("flip", "succeeded", True),
    ],
)
def test_an_ordered_end_comes_and_is_charged_or_not(word: str, stage: str, billed: bool) -> None:
    one = render(**{word: ""})
    assert standing(one, BEGUN + 10).stage == stage
    assert charged(one) == billed


def test_what_is_moderated_is_refused_before_it_is_made() -> None:
    assert standing(render(moderated=""), BEGUN).stage == "failed"


def test_what_has_succeeded_once_can_have_failed_when_asked_again() -> None:
    one = render(flip="")
    assert standing(one, BEGUN + 10).stage == "succeeded"
    one.ended_seen = 1
    assert standing(one, BEGUN + 10).stage == "failed"


@pytest.mark.parametrize(
    ("order", "stage", "billed"), [({}, "cancelled", True), ({"queue": "9"}, "aborted", False), ({"hang": ""}, "cancelled", True)]
)
def test_a_deadline_stops_what_runs_and_aborts_what_never_began(order: dict[str, Any], stage: str, billed: bool) -> None:
    late = render(deadline=5, **order)
    assert standing(late, BEGUN + 5).stage == stage
    assert charged(late) == billed


def test_a_deadline_that_is_met_changes_nothing() -> None:
    assert standing(render(takes=4, deadline=5), BEGUN + 60).stage == "succeeded"
