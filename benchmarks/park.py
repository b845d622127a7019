"""Leaves the tasks of a run as a deferral would: deferred, each with its trigger. Runs in Airflow's own environment.

    python -m benchmarks.park RUN_ID RENDERS_PER_TASK < vendor-ids.json

Renders wait at Runway; 1,000 deferrals through workers would take this machine ten minutes and add nothing to what is
measured, the triggerer with its database.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta

from airflow.models.taskinstance import TaskInstance  # noqa: TID251 - stands in for what Airflow writes itself
from airflow.models.trigger import Trigger  # noqa: TID251
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import select

from aiprod.catalog import catalog
from aiprod_airflow.triggers.render import RenderTrigger

DAG = "inflight_parked"


def main(run_id: str, per_task: int, vendor_ids: list[str]) -> None:
    """Park tasks of the run, `per_task` renders each, until every render has one."""
    now, poll = datetime.now(UTC), catalog().backends["runway"].poll_seconds
    with create_session() as session:
        wanted = select(TaskInstance).where(TaskInstance.dag_id == DAG, TaskInstance.run_id == run_id)
        tasks = session.scalars(wanted.order_by(TaskInstance.map_index).limit(-(-len(vendor_ids) // per_task)))
        for n, instance in enumerate(tasks):
            watched = RenderTrigger(
                backend="runway",
                vendor_ids=vendor_ids[n * per_task : (n + 1) * per_task],
                first_event_at=now.isoformat(),
                look_again_at=None,
                deadline=(now + timedelta(hours=6)).isoformat(),
                poll_seconds=poll,
            )
            row = Trigger.from_object(watched)
            session.add(row)
            session.flush()
            instance.trigger_id = row.id
            instance.state = TaskInstanceState.DEFERRED
            instance.next_method, instance.next_kwargs = "resume", {}
            instance.start_date = now
            instance.trigger_timeout = now + timedelta(hours=7)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), json.load(sys.stdin))
