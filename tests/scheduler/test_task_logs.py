"""A job's whole story is found in the logs of a real Airflow by its name, over every task, try and leg."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.scheduler.conftest import DAG, Stack

pytestmark = pytest.mark.airflow


def told(stack: Stack, job_id: str) -> list[dict[str, Any]]:
    """Every line of any task log that says by its fields that it is about a job, in their order."""
    files = (stack.airflow.home / "logs" / f"dag_id={DAG}").rglob("*.log")
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines() if '"job_id":' in line]
    return sorted((line for line in lines if line["job_id"] == job_id), key=lambda line: str(line["timestamp"]))


def test_lines_of_a_task_log_name_job_shot_attempt_and_purchase(stack: Stack) -> None:
    failed, bought = stack.purchases("first-fails")
    lines = told(stack, "first-fails")
    of = {
        p.purchase_id: [line["event"].split(maxsplit=2)[:2] for line in lines if line.get("purchase_id") == p.purchase_id]
        for p in (failed, bought)
    }
    assert of[failed.purchase_id] == [["runway", "accepted"], ["failed", "at"]]
    assert of[bought.purchase_id][:3] == [["veo3", "accepted"], ["succeeded", "at"], ["its", "file"]]
    for line in lines:
        if line.get("purchase_id") == bought.purchase_id:
            assert (line["shot"], line["attempt"], line["backend"]) == (1, 2, "veo3")
    events = [line["event"] for line in lines]
    assert events[0] == "entered" and events[1].startswith("first-fails version 1: approved by "), events
    assert any(said.startswith("delivered for") for said in events)


def test_no_line_is_about_a_job_that_another_run_carries(stack: Stack) -> None:
    assert {line.get("run_id", "first-fails") for line in told(stack, "first-fails")} == {"first-fails"}
