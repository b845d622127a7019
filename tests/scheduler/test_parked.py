"""People are slow: what waits for them must never stop anybody else."""

from __future__ import annotations

import pytest

from tests.scheduler.conftest import DAG, Stack

pytestmark = pytest.mark.airflow

PARKED = [f"parked-{n:02d}" for n in range(40)]


def test_forty_parked_approvals_leave_the_forty_first_job_running(stack: Stack) -> None:
    for job_id in PARKED:
        stack.airflow.trigger(DAG, {"prompt": "a lake", "preset": "brand_campaign", "seconds": 2, "job_id": job_id}, job_id)
    for job_id in PARKED:
        stack.airflow.wait_task(DAG, job_id, "approve", ["awaiting_input"], timeout=300)

    stack.airflow.trigger(DAG, {"prompt": "a lake", "preset": "quick_social", "seconds": 2, "audio": False}, "forty-first")
    stack.airflow.wait_run(DAG, "forty-first", timeout=60)

    assert stack.run_state("forty-first") == "success"
    assert {stack.states(job_id)["approve"] for job_id in PARKED} == {"awaiting_input"}
    assert "database is locked" not in stack.airflow.evidence()
