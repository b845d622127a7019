"""Bring alert policies, dashboard and objectives in Google Cloud Monitoring up to this release.

Trigger it after an upgrade, or after a change of `include/config`. With *plan* it says what would change and changes nothing.
A second run changes nothing. The project and its credentials are those of the connection `aiprod_cloud_monitoring`, or of the
environment.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import Param, dag, task

from aiprod_airflow import steps


@dag(
    dag_display_name="Deploy monitoring",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"owner": "aiprod", "retries": 1, "retry_delay": timedelta(minutes=1)},
    params={"plan": Param(True, type="boolean", description="Only say what would change")},
    tags=["aiprod", "monitoring"],
    doc_md=__doc__,
)
def deploy_monitoring():
    @task(doc_md="Compares what is there with what should be, and says or does what differs.")
    def deploy(**context):
        steps.deploy_monitoring(plan=context["params"]["plan"])

    deploy()


deploy_monitoring()
