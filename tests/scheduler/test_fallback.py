"""The fallback Runway → Veo 3 → Replicate under a real scheduler: Airflow's grid, our ledger, and the vendors' own books."""

from __future__ import annotations

import pytest

from tests.scheduler.conftest import TEARDOWNS, Stack, green

pytestmark = pytest.mark.airflow

#: Jobs of which every request was answered, so that nothing is left to guess.
TOLD = ("first-fine", "first-fails", "all-fail", "two-backends", "half-fails", "half-lost", "no-budget-2", "still", "damaged")


def bought(stack: Stack, job_id: str) -> list[tuple[str, str, str, int]]:
    """Shot, backend, state and charge of every purchase of a job, in micro-dollars."""
    return [(p.subject, p.backend, str(p.state), p.charged) for p in stack.purchases(job_id)]


@pytest.mark.parametrize("job_id", TOLD)
def test_every_purchase_is_one_accept_at_its_vendor_and_what_is_billed_is_what_was_charged(stack: Stack, job_id: str) -> None:
    taken = [p for p in stack.purchases(job_id) if p.state != "rejected"]
    # Google's id comes with a path.
    ours = sorted((p.backend, str(p.vendor_id).rpartition("/")[2], p.charged) for p in taken)

    assert ours == sorted((a["backend"], a["id"], a["billable_micros"]) for a in stack.accepts(job_id))


def test_a_backend_that_fails_is_red_and_the_next_one_saves_the_run(stack: Stack) -> None:
    first, second = ("attempt_1.route", "attempt_1.score"), ("attempt_2.route", "attempt_2.veo3", "attempt_2.score")
    assert stack.ran("first-fails") == {**green(*first, *second), "attempt_1.runway": "failed"}
    assert stack.run_state("first-fails") == "success"
    assert bought(stack, "first-fails") == [("1", "runway", "failed", 0), ("1", "veo3", "succeeded", 1_600_000)]
    assert "Pausing task as DEFERRED" in stack.log("first-fails", "attempt_2.veo3")


def test_when_all_fail_there_are_three_reds_and_the_run_is_red(stack: Stack) -> None:
    states = stack.states("all-fail")

    reds = {"attempt_1.runway", "attempt_2.veo3", "attempt_3.replicate", "assemble"}
    assert {task for task, state in states.items() if state == "failed"} == reds
    assert {task: states[task] for task in TEARDOWNS} == TEARDOWNS
    assert stack.run_state("all-fail") == "failed"
    charges = {"runway": 0, "veo3": 1_600_000, "replicate": 500_000}
    assert bought(stack, "all-fail") == [("1", name, "failed", charge) for name, charge in charges.items()]


def test_two_backends_in_one_attempt_fail_and_deliver_apart(stack: Stack) -> None:
    states = stack.ran("two-backends")

    assert states["attempt_1.runway"] == "failed"
    assert states["attempt_1.veo3"] == "success"
    assert states["attempt_2.veo3"] == "success"
    assert not any(task.startswith("attempt_3") for task in states)
    assert stack.run_state("two-backends") == "success"
    assert sorted(bought(stack, "two-backends")) == [
        ("1", "runway", "failed", 0),
        ("1", "veo3", "succeeded", 1_600_000),
        ("2", "veo3", "succeeded", 1_600_000),
    ]


def test_when_half_the_shots_fail_the_others_are_kept_and_only_the_missing_are_bought_elsewhere(stack: Stack) -> None:
    states = stack.ran("half-fails")

    assert (states["attempt_1.runway"], states["attempt_2.veo3"]) == ("failed", "success")
    assert stack.run_state("half-fails") == "success"
    assert sorted(bought(stack, "half-fails")) == [
        ("1", "runway", "succeeded", 240_000),
        ("2", "runway", "failed", 0),
        ("2", "veo3", "succeeded", 1_600_000),
        ("3", "runway", "succeeded", 240_000),
        ("4", "runway", "failed", 0),
        ("4", "veo3", "succeeded", 1_600_000),
    ]


def test_a_shot_that_nobody_can_make_fails_the_job_and_the_shot_that_was_made_is_not_bought_again(stack: Stack) -> None:
    states = stack.states("half-lost")

    reds = {"attempt_1.runway", "attempt_2.veo3", "attempt_3.replicate", "assemble"}
    assert {task for task, state in states.items() if state == "failed"} == reds
    assert {task: states[task] for task in TEARDOWNS} == TEARDOWNS
    assert stack.run_state("half-lost") == "failed"
    assert sorted(bought(stack, "half-lost")) == [
        ("1", "runway", "succeeded", 240_000),
        ("2", "replicate", "rejected", 0),
        ("2", "runway", "failed", 240_000),
        ("2", "veo3", "rejected", 0),
    ]


def test_a_lost_answer_nobody_can_look_for_is_parked_red_with_its_hold_kept_and_the_shot_goes_elsewhere(stack: Stack) -> None:
    states = stack.ran("lost-and-mute")
    lost, elsewhere = stack.purchases("lost-and-mute")
    accepts = {accept["backend"]: accept for accept in stack.accepts("lost-and-mute")}

    assert (states["attempt_1.runway"], states["attempt_2.veo3"]) == ("failed", "success")
    assert stack.run_state("lost-and-mute") == "success"
    assert (lost.state, lost.parked_at is not None, lost.hold) == ("unknown", True, accepts["runway"]["billable_micros"])
    assert (elsewhere.backend, elsewhere.charged) == ("veo3", accepts["veo3"]["billable_micros"])
    assert len(accepts) == len(stack.accepts("lost-and-mute")) == 2
