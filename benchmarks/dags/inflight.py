"""Renders in flight in both ways: parked at our trigger, and watched by a task that sleeps and polls. For measuring only."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta

import pendulum
from airflow.sdk import BaseOperator, dag, task

#: How many renders a run watches; the benchmark sets it.
RENDERS = int(os.environ.get("AIPROD_BENCH_RENDERS", "1"))


class Parked(BaseOperator):
    """Never runs: the benchmark writes the rows that its deferral would leave."""

    def __init__(self, *, n: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.n = n

    def execute(self, context) -> None:
        raise RuntimeError("it was meant to be parked")


@dag(schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC"), catchup=False)
def inflight_parked():
    # A pool without a slot: no worker touches them before the benchmark does.
    Parked.partial(task_id="render", pool="parked").expand(n=list(range(RENDERS)))


@dag(schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC"), catchup=False, params={"vendor_ids": []})
def inflight_naive():
    @task
    def watch(vendor_id, minutes=30, poll_seconds=15.0):
        """The operator that most people would write: it holds its worker until the render is over."""
        from aiprod.backends import backend
        from aiprod.catalog import catalog

        adapter, until = backend(catalog(), "runway"), datetime.now(UTC) + timedelta(minutes=minutes)
        while datetime.now(UTC) < until and not adapter.poll(vendor_id).final:
            time.sleep(poll_seconds)

    @task
    def ids(params=None):
        return params["vendor_ids"]

    watch.expand(vendor_id=ids())


inflight_parked()
inflight_naive()
