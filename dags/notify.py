"""Tell people and programs what happened: approvals that are wanted, videos that are delivered, purchases that wait.

Runs every minute and costs next to nothing when there is nothing to tell. Whom it tells what is in
`include/config/notifications.yaml`. A channel that does not answer is tried again for a day, with growing pauses, and holds
up no other; red means that something was given up. It never buys anything.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import dag, task

from aiprod_airflow import steps


@dag(
    dag_display_name="Notify",
    schedule=timedelta(minutes=1),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"owner": "aiprod", "retries": 1, "retry_delay": timedelta(minutes=1)},
    tags=["aiprod"],
    doc_md=__doc__,
)
def notify():
    @task(doc_md="Sends every channel what is due for it.")
    def tell():
        steps.notify()

    tell()


notify()
