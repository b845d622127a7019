"""A person answers for a parked purchase in Airflow, and the next pass brings home what ran."""

from __future__ import annotations

import pytest

from aiprod.ledger import parked
from tests.scheduler.conftest import DAG, Stack
from tests.scheduler.orders import signed

pytestmark = pytest.mark.airflow

JOB = "answered"


def test_a_lost_render_that_a_person_found_is_paid_once_and_brought_home(stack: Stack) -> None:
    order = {"prompt": "[[runway=lose]]", "preset": "quick_social", "seconds": 2, "audio": False, "backend": "runway"}
    stack.airflow.trigger(DAG, signed(JOB, {**order, "job_id": JOB}), JOB)
    stack.airflow.wait_run(DAG, JOB, timeout=120)
    lost = stack.purchases(JOB)[0]
    assert lost.parked_at is not None
    accepted = stack.accepts(JOB)
    booked = accepted[0]

    stack.airflow.wait_ready(60, dags=["parked"])
    stack.airflow.trigger("parked", {"purchase": lost.purchase_id[:12]}, "question-1")
    stack.airflow.wait_task("parked", "question-1", "ask", ["awaiting_input"], timeout=120)
    report = "TaskInstance Finished: dag_id=parked, task_id=ask, run_id=question-1,"
    log = stack.airflow.home / "logs" / "scheduler.log"
    stack.airflow.wait(lambda: report in log.read_text() or None, "the question was not reported parked", timeout=60)
    form = {"why": "it is on their page", "vendor_id": booked["id"], "charged_usd": None}
    stack.airflow.respond("parked", "question-1", "ask", ["It ran"], form)
    stack.airflow.wait_run("parked", "question-1", timeout=120)

    assert stack.airflow.run("parked", "question-1")["state"] == "success"
    with stack.ledger.read() as conn:
        (said,) = parked.resolutions_of(conn, lost.purchase_id)
    assert (said.answer, said.vendor_id, said.why) == ("ran", booked["id"], "it is on their page")
    assert said.resolved_by

    stack.airflow.trigger("reconcile", {}, "after-the-answer")
    stack.airflow.wait_run("reconcile", "after-the-answer", timeout=120)
    paid = stack.purchases(JOB)[0]
    assert (paid.state, paid.charged) == ("succeeded", booked["billable_micros"])
    assert stack.accepts(JOB) == accepted
