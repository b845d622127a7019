"""Starting runs of another DAG from inside a task, as many as there are."""

from __future__ import annotations

from typing import Any

from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, TriggerDagRun

from aiprod.errors import AiprodError

__all__ = ["RunNotStarted", "start_run"]


class RunNotStarted(AiprodError):
    """Airflow did not start a run. Its jobs still wait, and are offered again a quarter of an hour later."""

    retryable = True


def start_run(dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
    """Start a run, once per id. Raises `RunNotStarted` when Airflow refuses; what went wrong is in the supervisor's log.

    Airflow's own operator starts one run and ends; this is the message it sends.
    """
    try:
        answer = task_runner.SUPERVISOR_COMMS.send(TriggerDagRun(dag_id=dag_id, run_id=run_id, conf=conf))
    except AirflowRuntimeError as refused:
        answer = refused.error
    # A run of this id is this run: it was started by a try of ours that did not hear so.
    if isinstance(answer, ErrorResponse) and answer.error is not ErrorType.DAGRUN_ALREADY_EXISTS:
        raise RunNotStarted(f"run {run_id} of {dag_id} was not started: {answer.error.value}")
