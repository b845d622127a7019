"""A person ends a render in Airflow, and its vendor is asked to stop; a person clears one, and it goes on."""

from __future__ import annotations

import pytest

from tests.scheduler.conftest import DAG, Stack
from tests.scheduler.orders import ENDLESS

pytestmark = pytest.mark.airflow

RENDER = "attempt_1.runway"


def state(stack: Stack, job_id: str) -> str:
    return str(stack.purchases(job_id)[0].state)


def stopped(stack: Stack, job_id: str) -> bool:
    vendor_id = stack.purchases(job_id)[0].vendor_id
    return any(line["event"] == "cancel" and line["id"] == vendor_id for line in stack.vendors.events())


def test_marking_a_task_or_a_run_stops_its_render_and_clearing_one_does_not(stack: Stack) -> None:
    for job_id in ENDLESS:
        stack.airflow.wait_task(DAG, job_id, RENDER, ["deferred"], timeout=120)
        stack.watched(job_id, RENDER)

    stack.airflow.clear(DAG, "task-cleared", [RENDER])
    stack.airflow.call("PATCH", f"dags/{DAG}/dagRuns/task-failed/taskInstances/{RENDER}", json={"new_state": "failed"})
    stack.airflow.call("PATCH", f"dags/{DAG}/dagRuns/run-failed", json={"state": "failed"})
    for job_id in ("task-failed", "run-failed"):
        stack.airflow.wait(
            lambda job_id=job_id: True if state(stack, job_id) == "cancelled" else None, f"{job_id} runs on", timeout=60
        )
        assert stopped(stack, job_id)
    stack.watched("task-cleared", RENDER, try_number=2)

    assert (state(stack, "task-cleared"), stopped(stack, "task-cleared")) == ("submitted", False)
    assert len(stack.accepts("task-cleared")) == 1
    assert "is not over in Airflow: what runs at runway goes on" in stack.log("task-cleared", RENDER)
    # Runway shows what has just begun as waiting and does not say what it gave back: what is unknown counts as spent.
    assert [stack.purchases(job_id)[0].charged for job_id in ("task-failed", "run-failed")] == [240_000, 240_000]

    # And nothing of it is left running for the tests that follow.
    stack.airflow.call("PATCH", f"dags/{DAG}/dagRuns/task-cleared", json={"state": "failed"})
    stack.airflow.wait(lambda: stopped(stack, "task-cleared") or None, "task-cleared runs on", timeout=60)
