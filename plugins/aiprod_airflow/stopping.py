"""When a person ends a render task in Airflow, its vendor is asked to stop; when they clear it, nobody is."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import GetTaskStates, TaskStatesResult

from aiprod.ledger import jobs, purchases
from aiprod.pipeline import Pipeline
from aiprod_airflow.pipelines import pipeline

__all__ = ["Instance", "stop_if_ended"]

log = logging.getLogger(__name__)

#: A cleared task is none of these: it waits for its next try, which re-attaches to what runs.
_ENDED = {"failed": "marked failed in Airflow", "success": "marked success in Airflow"}


class Instance(Protocol):
    """What names a task instance."""

    dag_id: str
    task_id: str
    run_id: str
    map_index: int | None


def stop_if_ended(instance: Instance, backend: str, *, vendor_ids: Sequence[str] = (), job_ids: Sequence[str] = ()) -> list[str]:
    """Ask a backend to stop what a task instance waits for, if a person ended it. Blocks, and never raises.

    Returns what became of each render in one line; without an order to stop, why there is none.
    """
    ended = _ended(instance)
    if not ended:
        return [f"{instance.task_id} is not over in Airflow: what runs at {backend} goes on"]
    try:
        orders = pipeline()
        return orders.stop(backend, [*vendor_ids, *_running(orders, backend, job_ids)], by=ended)
    except Exception:
        # It stays watched and is paid, as if nobody had asked.
        log.exception("%s could not be asked to stop %s", backend, ", ".join(vendor_ids or job_ids))
        return []


def _running(orders: Pipeline, backend: str, job_ids: Sequence[str]) -> list[str]:
    """The vendor's ids of what a backend works on for some jobs."""
    with orders.ledger.read() as conn:
        every = [p for job_id in job_ids for v in jobs.versions(conn, job_id) for p in purchases.of_job(conn, job_id, v)]
    return [p.vendor_id for p in every if p.backend == backend and p.state == "submitted" and p.vendor_id]


def _ended(instance: Instance) -> str:
    """How a person ended a task instance, as Airflow tells it; empty when they did not, or it cannot be told."""
    index = -1 if instance.map_index is None else instance.map_index
    question = GetTaskStates(dag_id=instance.dag_id, task_ids=[instance.task_id], run_ids=[instance.run_id], map_index=index)
    try:
        answer = task_runner.SUPERVISOR_COMMS.send(question)
    except Exception as error:  # noqa: BLE001 - whatever the reason, not knowing is one to let it run
        log.warning("Airflow did not say what became of %s: %s", instance.task_id, error)
        return ""
    if not isinstance(answer, TaskStatesResult):
        return ""
    name = instance.task_id if index < 0 else f"{instance.task_id}_{index}"
    return _ENDED.get(answer.task_states.get(instance.run_id, {}).get(name), "")
