"""Finish what nobody watched: expired holds, lost answers, renders that ended unseen.

Runs every ten minutes and costs next to nothing when there is nothing to do. Red means that a purchase needs a person:
the task's log says which, and why. It never buys anything.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import dag, task

from aiprod_airflow import steps


@dag(
    dag_display_name="Reconcile purchases",
    schedule=timedelta(minutes=10),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"owner": "aiprod", "retries": 1, "retry_delay": timedelta(minutes=1)},
    tags=["aiprod", "money"],
    doc_md=__doc__,
)
def reconcile():
    @task(doc_md="Looks at every open purchase once and pushes it as far as it goes.")
    def look():
        steps.reconcile()

    look()


reconcile()
