"""The DAG that most people would write: eight tasks in a row, a render task that sleeps and polls. For comparison only.

It makes the same library calls for the same job, without branches, attempts, review, deferral or fallback, and holds its
worker slot while the vendor renders.
"""

from __future__ import annotations

import time
from datetime import timedelta

import pendulum
from airflow.sdk import dag, task

from aiprod.pipeline import Pipeline

POLL_SECONDS = 5


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1_000,
    params={"prompt": "a lake", "seconds": 2, "preset": "quick_social", "audio": True, "job_id": "naive"},
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
)
def naive_video():
    @task
    def estimate(params=None, run_id=None):
        return Pipeline().estimate([dict(params)], run_id=run_id, job_id=run_id)

    @task
    def approve(job_ids, run_id=None):
        if any(Pipeline().ask(job_id, run_id=run_id).answer != "approved" for job_id in job_ids):
            raise RuntimeError("not approved")

    @task
    def render(job_ids):
        pipeline = Pipeline()
        for backend in pipeline.route(job_ids, 1):
            while not pipeline.render(job_ids, backend, 1).finished:
                time.sleep(POLL_SECONDS)

    @task
    def score(job_ids):
        Pipeline().score(job_ids, 1)

    @task
    def assemble(job_ids):
        Pipeline().assemble(job_ids)

    @task
    def deliver(job_ids):
        Pipeline().deliver(job_ids)

    @task
    def settle(run_id=None):
        Pipeline().settle(run_id)

    @task
    def push_metrics():
        Pipeline().push_metrics()

    ordered = estimate()
    chain = [approve(ordered), render(ordered), score(ordered), assemble(ordered), deliver(ordered), settle(), push_metrics()]
    for before, after in zip([ordered, *chain], chain, strict=False):
        before >> after


naive_video()
