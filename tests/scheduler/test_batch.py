"""Many jobs through one run: good ones deliver, a bad one is red, what has no slot waits for the next run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from aiprod.catalog import load
from aiprod.ledger import queue
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.schema import runs
from aiprod.models import USD
from aiprod.pipeline import Pipeline
from tests.scheduler.conftest import DAG, Stack

pytestmark = pytest.mark.airflow


def enlist(stack: Stack, campaign: str, rows: list[dict[str, Any]]) -> list[str]:
    pipeline = Pipeline(ledger=stack.ledger, catalogue=load(stack.catalogue))
    return pipeline.enlist(rows, campaign=campaign, amount=20 * USD, by="ann")


def carried(stack: Stack, job_id: str, *, besides: str) -> str:
    """Let `dispatch` run until another run carries the job; wait for the end of that run and return its id.

    `dispatch` also runs by itself: which of its runs was first does not matter.
    """
    stack.airflow.trigger("dispatch", {}, f"dispatch-after-{besides}")
    statement = select(runs.c.run_id).where(runs.c.job_id == job_id, runs.c.run_id != besides)

    def started() -> str | None:
        with stack.ledger.read() as conn:
            return conn.execute(statement).scalar()

    run_id = stack.airflow.wait(started, f"no run carries {job_id}", timeout=90)
    stack.airflow.wait_run(DAG, run_id, timeout=120)
    return run_id


def test_what_finds_no_slot_waits_and_the_next_run_delivers_it(stack: Stack) -> None:
    """Four slots: eight holds, and two rows that wait. Every process that a run starts serves all its jobs."""
    rows = enlist(stack, "posters", [{"prompt": f"poster {n}", "seconds": 1, "backend": "animatic"} for n in range(10)])
    with stack.ledger.write() as conn:
        # All ten at once, and not first the eight that `dispatch` would take.
        queue.postpone(conn, rows, database_now(conn) + timedelta(hours=1))

    first = "posters-by-hand"
    stack.airflow.trigger(DAG, {"batch": rows}, first)
    stack.airflow.wait_run(DAG, first, timeout=120)
    assert stack.run_state(first) == "success"
    assert stack.log(first, "settle").count("delivered, 0 unused holds given back") == 8
    assert stack.log(first, "settle").count("waits for slots") == 2
    second = carried(stack, rows[9], besides=first)

    assert stack.run_state(second) == "success"
    assert [[p.state for p in stack.purchases(job_id)] for job_id in rows] == [["succeeded"]] * 10


def test_good_jobs_of_a_batch_deliver_and_the_run_is_red_for_the_bad_one(stack: Stack) -> None:
    fails = "[[runway=fail]] [[veo3=broke]] [[replicate=moderated]]"
    rows = enlist(stack, "mixed", [{"prompt": prompt, "seconds": 1, "audio": False} for prompt in ("a lake", fails, "a hill")])
    run_id = "mixed-batch"
    stack.airflow.trigger(DAG, {"batch": rows}, run_id)
    stack.airflow.wait_run(DAG, run_id, timeout=120)

    assert stack.run_state(run_id) == "failed"
    assert stack.states(run_id)["deliver"] == "failed"
    assert "1 of 3 jobs were not delivered" in stack.log(run_id, "deliver")
    found = [Pipeline(ledger=stack.ledger).result(job_id)["video"] is not None for job_id in rows]
    assert found == [True, False, True]
    assert {task: stack.states(run_id)[task] for task in ("settle", "push_metrics")} == {
        "settle": "success",
        "push_metrics": "success",
    }


def test_a_batch_of_nobody_is_refused_in_a_plain_line(stack: Stack) -> None:
    stack.airflow.trigger(DAG, {"batch": ["nobody-1"]}, "nobody")
    stack.airflow.wait_run(DAG, "nobody", timeout=60)

    assert stack.states("nobody")["estimate"] == "failed"
    log = stack.log("nobody", "estimate")
    assert "batch: job nobody-1 is not in the ledger" in log
    assert "Traceback" not in log
