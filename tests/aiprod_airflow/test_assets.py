"""Every video is an event of its own, also where one task delivered many."""

from __future__ import annotations

import tests.airflow_home  # noqa: F401 - before Airflow is imported

# isort: split
from airflow.sdk.execution_time.context import OutletEventAccessors
from airflow.sdk.execution_time.task_runner import _serialize_outlet_events

from aiprod_airflow.assets import DELIVERED, DELIVERIES


def test_a_task_that_delivered_two_videos_sends_two_events_of_the_asset() -> None:
    events = OutletEventAccessors()
    for job_id in ("one", "two"):
        events[DELIVERED].add(DELIVERIES, extra={"job_id": job_id})
    sent = list(_serialize_outlet_events(events))
    assert [(event["dest_asset_key"]["uri"], event["extra"]) for event in sent] == [
        (DELIVERIES.uri, {"job_id": "one"}),
        (DELIVERIES.uri, {"job_id": "two"}),
    ]
