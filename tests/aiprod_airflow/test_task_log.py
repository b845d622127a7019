"""Airflow's task log carries what each line is about as fields: written by Airflow's own logging, as it runs a task."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

from tests.aiprod_airflow.shop import RUN, Shop

# isort: split
from airflow.sdk.log import configure_logging, reset_logging

from aiprod_airflow import steps
from aiprod_airflow.pipelines import pipeline

FIELDS = ("job_id", "shot", "attempt", "backend", "purchase_id")


def a_task(log: Path) -> None:
    """What Airflow's supervisor does to a task's process before anything of ours runs, and then one task after the other."""
    with log.open("wb", buffering=0) as channel:
        reset_logging()
        configure_logging(json_output=True, output=channel, sending_to_supervisor=True)
        pipeline().route(["job-1"], 1)
        pipeline().render(["job-1"], "runway", 1)
        steps.score(["job-1"], attempt=1, attempts=3)
        os._exit(0)


def test_a_line_of_a_task_log_names_job_shot_attempt_and_purchase(shop: Shop, tmp_path: Path) -> None:
    shop.order()
    assert shop.pipeline.ask("job-1", run_id=RUN).answer == "approved"
    log = tmp_path / "attempt=1.log"
    task = multiprocessing.get_context("fork").Process(target=a_task, args=(log,))
    task.start()
    task.join(60)
    assert task.exitcode == 0
    (bought,) = shop.purchases()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    ours = [line for line in lines if line.get("logger", "").startswith("aiprod.")]
    about = {"job_id": "job-1", "shot": 1, "attempt": 1, "backend": "runway", "purchase_id": bought.purchase_id}
    assert {name: ours[0][name] for name in ("logger", "event", "job_id")} == {
        "logger": "aiprod.pipeline",
        "event": "routed to runway",
        "job_id": "job-1",
    }
    accepted, ended, kept, judged = ours[1:]
    for line in (accepted, ended, kept, judged):
        assert {name: line[name] for name in FIELDS} == about, line
    assert bought.vendor_id and bought.vendor_id in accepted["event"]
    assert "accepted" in judged["event"] and judged["logger"] == "aiprod.scoring"
