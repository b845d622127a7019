"""What people see in Airflow's grid, and what the vendors were really asked for, under a real scheduler."""

from __future__ import annotations

import pytest

from aiprod import ordering
from aiprod.catalog import load
from aiprod.ledger import approvals, jobs
from aiprod.ledger.engine import now as database_now
from tests.scheduler.conftest import DAG, TEARDOWNS, Stack, green
from tests.scheduler.orders import ORDERS

pytestmark = pytest.mark.airflow


def test_a_backend_that_delivers_is_green_and_everything_else_is_skipped(stack: Stack) -> None:
    assert stack.ran("first-fine") == green("attempt_1.route", "attempt_1.runway", "attempt_1.score")
    assert stack.run_state("first-fine") == "success"
    assert len(stack.accepts("first-fine")) == 1


def test_a_rejected_job_buys_nothing_holds_nothing_and_ends_green(stack: Stack) -> None:
    assert stack.ran("rejected") == {"estimate": "success", "approve": "success", **TEARDOWNS}
    assert stack.run_state("rejected") == "success"
    assert stack.purchases("rejected") == []


def test_a_question_nobody_answers_expires_and_the_run_is_red(stack: Stack) -> None:
    states = stack.states("expired")

    assert states["approve"] == "failed"
    assert {task: states[task] for task in TEARDOWNS} == TEARDOWNS
    assert stack.run_state("expired") == "failed"
    assert stack.purchases("expired") == []


@pytest.mark.parametrize(
    ("run_id", "lines"),
    [
        ("bad-input", ["promt: unknown field", "quality: unknown field"]),
        ("too-long", ["seconds: 99 s asked, but preset quick_social allows 30 s at most"]),
    ],
)
def test_bad_input_is_refused_in_plain_lines_before_anything_else_happens(stack: Stack, run_id: str, lines: list[str]) -> None:
    states = stack.states(run_id)

    assert [task for task, state in states.items() if state == "failed"] == ["estimate"]
    assert stack.run_state(run_id) == "failed"
    log = stack.log(run_id, "estimate")
    assert all(line in log for line in lines)
    assert "Traceback" not in log
    assert "error_detail" not in str(stack.airflow.call("GET", f"dags/{DAG}/dagRuns/{run_id}/taskInstances/estimate/logs/1"))
    assert stack.airflow.run(DAG, run_id)["conf"]


def test_without_budget_the_first_route_is_red_and_says_why(stack: Stack) -> None:
    states = stack.states("no-budget-1")

    assert states["attempt_1.route"] == "failed"
    assert "project broke has $0.01 left" in stack.log("no-budget-1", "attempt_1.route")
    assert stack.run_state("no-budget-1") == "failed"
    assert stack.purchases("no-budget-1") == []
    assert {task: states[task] for task in TEARDOWNS} == TEARDOWNS


def test_without_budget_for_a_second_attempt_its_route_is_red_and_the_first_charge_stands(stack: Stack) -> None:
    states = stack.states("no-budget-2")

    assert states["attempt_1.runway"] == "failed"
    assert states["attempt_2.route"] == "failed"
    assert stack.run_state("no-budget-2") == "failed"
    assert len(stack.accepts("no-budget-2")) == 1


@pytest.mark.parametrize("job_id", ["still", "damaged"])
def test_a_take_that_is_no_good_is_bought_elsewhere_inside_the_envelope(stack: Stack, job_id: str) -> None:
    states = stack.ran(job_id)

    assert states["attempt_1.runway"] == "success"
    # Where a dollar gains most after a rejected take: two seconds there cost a third of what they cost at Veo 3.
    assert states["attempt_2.replicate"] == "success"
    assert stack.run_state(job_id) == "success"
    assert [p.backend for p in stack.purchases(job_id)] == ["runway", "replicate"]


def test_a_render_that_takes_time_waits_without_a_worker_and_is_bought_once(stack: Stack) -> None:
    assert stack.ran("slow") == green("attempt_1.route", "attempt_1.runway", "attempt_1.score")
    assert "Pausing task as DEFERRED" in stack.log("slow", "attempt_1.runway")
    assert len(stack.accepts("slow")) == 1


@pytest.mark.parametrize("job_id", ["killed-after", "killed-before"])
def test_a_task_killed_between_intent_and_answer_is_finished_by_its_retry_without_a_second_render(
    stack: Stack, job_id: str
) -> None:
    assert stack.ran(job_id)["attempt_1.veo3"] == "success"
    assert stack.run_state(job_id) == "success"
    (accepted,) = stack.accepts(job_id)
    assert [p.charged for p in stack.purchases(job_id) if p.charged] == [accepted["billable_micros"]]
    assert (
        "Process terminated by signal" in stack.log(job_id, "attempt_1.veo3", 1)
        or stack.airflow.call("GET", f"dags/{DAG}/dagRuns/{job_id}/taskInstances/attempt_1.veo3")["try_number"] > 1
    )


def test_a_preview_is_drawn_inside_its_task_and_costs_nothing(stack: Stack) -> None:
    assert stack.ran("preview") == green("attempt_1.route", "attempt_1.animatic", "attempt_1.score")
    assert "DEFERRED" not in stack.log("preview", "attempt_1.animatic")
    assert [p.charged for p in stack.purchases("preview")] == [0]


def test_a_premium_spot_is_delivered_only_after_the_second_look(stack: Stack) -> None:
    assert stack.ran("premium") == green("attempt_1.route", "attempt_1.runway", "attempt_1.score")
    states = stack.ran("premium-no")
    assert "deliver" not in states
    assert states["review"] == "success"
    assert stack.run_state("premium-no") == "success"


def test_the_same_order_again_is_the_same_job_and_buys_nothing(stack: Stack) -> None:
    assert stack.run_state("same-again") == "success"
    assert len(stack.accepts("first-fine")) == 1


def test_another_order_under_a_used_job_id_is_a_conflict(stack: Stack) -> None:
    assert stack.run_state("other-order") == "failed"
    assert "job_id: first-fine already names another order" in stack.log("other-order", "estimate")
    assert len(stack.accepts("first-fine")) == 1


def test_a_customers_words_reach_the_vendor_verbatim_and_are_never_a_template(stack: Stack) -> None:
    (accepted,) = stack.accepts("first-fine")
    assert accepted["body"]["promptText"] == ORDERS["first-fine"]["prompt"]


def test_many_jobs_at_once_never_lock_the_database(stack: Stack) -> None:
    """All orders of this folder were started together: more than three times the five of the promise."""
    assert "database is locked" not in stack.airflow.evidence()


class TestClearing:
    """Last, because it changes runs that other tests look at."""

    def test_a_render_cleared_after_success_re_attaches(self, stack: Stack) -> None:
        stack.airflow.clear(DAG, "slow", ["attempt_1.runway"])
        stack.airflow.wait_run(DAG, "slow", timeout=60)

        assert stack.states("slow")["attempt_1.runway"] == "success"
        assert len(stack.accepts("slow")) == 1

    def test_a_render_cleared_after_failure_stays_red_and_buys_nothing(self, stack: Stack) -> None:
        stack.airflow.clear(DAG, "first-fails", ["attempt_1.runway"])
        stack.airflow.wait_run(DAG, "first-fails", timeout=60)

        assert stack.states("first-fails")["attempt_1.runway"] == "failed"
        assert len(stack.accepts("first-fails")) == 2

    def test_route_cleared_with_downstream_buys_the_missing_shot_inside_the_envelope(self, stack: Stack) -> None:
        stack.airflow.clear(DAG, "all-fail", ["attempt_1.route"], downstream=True)
        stack.airflow.wait_run(DAG, "all-fail", timeout=120)

        everything = stack.purchases("all-fail")
        with stack.ledger.read() as conn:
            envelope = approvals.envelope(conn, "all-fail", 1)
        assert envelope is not None
        assert len(everything) > 3
        assert sum(accept["billable_micros"] for accept in stack.accepts("all-fail")) <= envelope.amount
        assert {p.envelope for p in everything} == {1}

    def test_an_approval_cleared_while_parked_asks_again_and_one_answer_makes_one_envelope(self, stack: Stack) -> None:
        stack.airflow.trigger(DAG, {"prompt": "a lake", "preset": "brand_campaign", "seconds": 2, "audio": False}, "asked-twice")
        stack.parked("asked-twice", "approve")
        stack.airflow.clear(DAG, "asked-twice", ["approve"])
        waiting = stack.airflow.wait_task(DAG, "asked-twice", "approve", ["awaiting_input"], timeout=60)
        assert waiting["try_number"] > 1

        stack.answer("asked-twice", "approve", "Reject", parks=2)
        stack.airflow.wait_run(DAG, "asked-twice", timeout=60)

        assert stack.run_state("asked-twice") == "success"
        assert stack.purchases("asked-twice") == []

    def test_an_answer_about_a_version_that_was_edited_meanwhile_makes_no_envelope(self, stack: Stack) -> None:
        stack.airflow.trigger(DAG, {"prompt": "a lake", "preset": "brand_campaign", "seconds": 2, "audio": False}, "edited")
        stack.airflow.wait_task(DAG, "edited", "approve", ["awaiting_input"], timeout=60)
        with stack.ledger.write() as conn:
            priced = jobs.priced(conn, "edited", 1)
            newer = priced.manifest.model_copy(update={"version": 2})
            jobs.write_manifest(conn, newer, priced.estimate, priced.backends, by="studio", now=database_now(conn))

        stack.answer("edited", "approve", "Approve")
        asked_again = "the answer was about version 1; asking again"
        stack.airflow.wait(lambda: asked_again in stack.log("edited", "approve") or None, "it was not asked again", timeout=60)
        with stack.ledger.read() as conn:
            assert approvals.latest(conn, "edited", 1) is approvals.latest(conn, "edited", 2) is None

        # The studio writes the envelope first and answers Airflow second.
        ordering.answer_spend(stack.ledger, load(stack.catalogue), "edited", 2, "approved", by="studio")
        stack.answer("edited", "approve", "Approve", parks=2)
        stack.airflow.wait_task(DAG, "edited", "review", ["awaiting_input"], timeout=90)
        assert len(stack.purchases("edited", version=2)) == 1
        assert stack.purchases("edited", version=1) == []
