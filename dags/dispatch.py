"""Start runs for jobs that wait: rows of a campaign, jobs that found no free slot, jobs that wait for the next day's money.

Runs every five minutes and costs next to nothing when nobody waits. It starts one `render_video` run at a time, with as
many of the most urgent jobs as the backends have room for; waiting itself holds no worker. It never buys anything.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import dag, task

from aiprod_airflow import steps


@dag(
    dag_display_name="Dispatch waiting jobs",
    schedule=timedelta(minutes=5),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"owner": "aiprod", "retries": 1, "retry_delay": timedelta(minutes=1)},
    tags=["aiprod", "video"],
    doc_md=__doc__,
)
def dispatch():
    @task(multiple_outputs=True, doc_md="Chooses the jobs of the next run; skipped when none can go on.")
    def choose():
        return steps.next_batch()

    chosen = choose()
    TriggerDagRunOperator(
        task_id="start",
        trigger_dag_id="render_video",
        trigger_run_id=chosen["run_id"],  # pyright: ignore[reportIndexIssue] - an XComArg has keys
        conf=chosen["conf"],  # pyright: ignore[reportIndexIssue]
        doc_md="Starts the run that carries them.",
    )


dispatch()
