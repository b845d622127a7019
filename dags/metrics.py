"""Send figures where they are configured to go, and raise or resolve alerts.

Runs every minute. Whatever a sink does, nothing is lost: figures are totals, and the next minute carries them whole. Every job
tries the same at its end, for two seconds at most. Alerts are evaluated over the ledger and need no sink at all.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import dag, task

from aiprod_airflow import steps


@dag(
    dag_display_name="Flush metrics and watch",
    schedule=timedelta(minutes=1),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    # The next minute tries again anyway.
    default_args={"owner": "aiprod", "retries": 0},
    tags=["aiprod", "monitoring"],
    doc_md=__doc__,
)
def flush_metrics():
    @task(doc_md="Folds what happened, tells every sink, evaluates every alert.")
    def flush():
        steps.flush_metrics()

    flush()


flush_metrics()
