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
    return (stack.books / "stopped" / str(stack.purchases(job_id)[0].vendor_id)).exists()


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
    said = "task-failed shot 1 at runway: stopped yes, refunded yes; cancelled, $0.00 charged"
    assert said in stack.log("task-failed", RENDER)

    # And nothing of it is left running for the tests that follow.
    stack.airflow.call("PATCH", f"dags/{DAG}/dagRuns/task-cleared", json={"state": "failed"})
    stack.airflow.wait(lambda: stopped(stack, "task-cleared") or None, "task-cleared runs on", timeout=60)
