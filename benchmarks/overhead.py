"""What Airflow costs per job: `render_video` against the DAG most people would write, side by side in one Airflow.

    python -m benchmarks.overhead [--jobs 5] [--rounds 3]

Both run the same single-shot job at a vendor that answers at once, one job after the other, rounds interleaved. CPU is
user + system time of Airflow's whole process tree and of what its tasks started, what it burns when idle subtracted; the
library's own work on one such job (pricing, ledger, QA, cutting), measured in one plain process, is shown and subtracted for
`orchestration`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from aiprod.ledger import Ledger
from aiprod.pipeline import Pipeline
from benchmarks import cpu
from benchmarks.kept import keep
from tests import vendor
from tests.catalogue import VENDORS, write_catalogue
from tools.local_airflow import CHECKOUT, LocalAirflow

OURS, NAIVE = "render_video", "naive_video"
ORDER = {"prompt": "a lake at dawn", "preset": "quick_social", "seconds": 2}
IDLE_SECONDS = 15.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--jobs", type=int, default=5, help="jobs per round and DAG")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = measure(Path(folder), jobs=args.jobs, rounds=args.rounds)
    print(table(report))
    print(f"\nwritten to {keep('overhead', report)}")


def measure(root: Path, *, jobs: int, rounds: int) -> dict[str, Any]:
    """Run both DAGs in turn and return medians and spreads."""
    env = environment(root)
    library = _library_alone(jobs)
    cpu.adopt_orphans()
    dags = root / "dags"
    shutil.copytree(CHECKOUT / "dags", dags)
    shutil.copy(CHECKOUT / "benchmarks" / "dags" / "naive_video.py", dags)
    seen: dict[str, list[dict[str, float]]] = {OURS: [], NAIVE: []}
    with LocalAirflow(root / "airflow", dags=dags, env=env) as airflow:
        airflow.wait_ready(180, dags=[OURS, NAIVE])
        pause_what_is_scheduled(airflow)
        for dag in seen:
            _one(airflow, dag, "warm")
        still = idle(airflow)
        for n in range(rounds):
            for dag, figures in seen.items():
                figures.append(_round(airflow, dag, n, jobs, still))
    return {
        "jobs_per_round": jobs,
        "rounds": rounds,
        "cores": os.cpu_count(),
        "idle_cpu_per_second": still,
        "library_cpu_per_job": library,
        "dags": {dag: _summary(figures, library) for dag, figures in seen.items()},
    }


def environment(root: Path, *, slots: int = 20, poll_seconds: float = 1.0) -> dict[str, str | None]:
    """Test vendors behind the paid backends; the same variables here, for the plain-process measurement."""
    room = {name: {"slots": slots, "poll_seconds": poll_seconds} for name in VENDORS}
    money = {"day_usd": 100_000, "day_warn_usd": 90_000}
    catalogue = write_catalogue(root / "config", strikes=10_000, backends=room, budgets=money)
    env = {"AIPROD_VAR_DIR": str(root / "var"), "AIPROD_CONFIG_DIR": str(catalogue), vendor.BOOKS: str(root / "books")}
    os.environ.update(env)
    for name in ("AIPROD_DATABASE_URL", "AIPROD_STORAGE_URL", "AIPROD_DRY_RUN"):
        os.environ.pop(name, None)
    (root / "var").mkdir(parents=True, exist_ok=True)
    Ledger(f"sqlite:///{root / 'var' / 'ledger.db'}").upgrade()
    return dict(env)


def _library_alone(jobs: int) -> float:
    """CPU-seconds of the library's own work per job: every step, no Airflow, imports paid before."""
    pipeline = Pipeline()

    def one(job_id: str) -> None:
        ids = pipeline.estimate([{**ORDER, "job_id": job_id}], run_id=job_id, job_id=job_id)
        pipeline.ask(job_id, run_id=job_id)
        for backend in pipeline.route(ids, 1):
            pipeline.render(ids, backend, 1)
        pipeline.score(ids, 1)
        pipeline.assemble(ids)
        pipeline.reviews(ids)
        pipeline.deliver(ids)
        pipeline.settle(job_id)
        pipeline.push_metrics()

    one("alone-warm")
    before = cpu.own()
    for n in range(jobs):
        one(f"alone-{n}")
    return (cpu.own() - before) / jobs


def _round(airflow: LocalAirflow, dag: str, n: int, jobs: int, still: float) -> dict[str, float]:
    started, before = time.monotonic(), cpu.spent_when_still(airflow.home)
    walls = [_one(airflow, dag, f"{n}-{i}") for i in range(jobs)]
    spent = cpu.spent_when_still(airflow.home) - before - still * (time.monotonic() - started)
    return {"cpu": spent / jobs, "wall": statistics.median(walls)}


def _one(airflow: LocalAirflow, dag: str, name: str) -> float:
    """Run one job; return seconds from its trigger to the end of `deliver`."""
    run_id = f"{dag.replace('_', '-')}-{name}"
    airflow.trigger(dag, {**ORDER, "job_id": run_id}, run_id)
    run = airflow.wait_run(dag, run_id, timeout=300)
    if run["state"] != "success":
        raise SystemExit(f"{run_id} ended {run['state']}: {airflow.states(dag, run_id)}")
    delivered = next(ti for ti in airflow.task_instances(dag, run_id) if ti["task_id"] == "deliver")["end_date"]
    return (_time(delivered) - _time(run["queued_at"])).total_seconds()


def _time(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp.replace("Z", "+00:00"))


def pause_what_is_scheduled(airflow: LocalAirflow) -> None:
    """Let no DAG begin by itself: what runs every minute costs the same with and without jobs, and falls anywhere."""
    for dag in airflow.call("GET", "dags")["dags"]:
        if dag["timetable_summary"] is not None:
            airflow.call("PATCH", f"dags/{dag['dag_id']}", json={"is_paused": True})


def idle(airflow: LocalAirflow) -> float:
    """CPU-seconds per second of an Airflow that has nothing to do."""
    before, started = cpu.spent_when_still(airflow.home), time.monotonic()
    time.sleep(IDLE_SECONDS)
    return (cpu.spent(airflow.home) - before) / (time.monotonic() - started)


def _summary(figures: list[dict[str, float]], library: float) -> dict[str, Any]:
    def spread(pick: Callable[[dict[str, float]], float]) -> dict[str, float]:
        values = sorted(pick(f) for f in figures)
        return {"median": statistics.median(values), "least": values[0], "most": values[-1]}

    return {
        "cpu_seconds_per_job": spread(lambda f: f["cpu"]),
        "orchestration_cpu_seconds_per_job": spread(lambda f: f["cpu"] - library),
        "wall_seconds_to_delivered": spread(lambda f: f["wall"]),
    }


def table(report: dict[str, Any]) -> str:
    """Return the report as the table in the README."""
    rows = ["| per single-shot job, median (least to most) | render_video | naive polling DAG | ratio |", "|---|---:|---:|---:|"]
    for key, title in (
        ("cpu_seconds_per_job", "CPU-seconds, whole process tree"),
        ("orchestration_cpu_seconds_per_job", "of these orchestration"),
        ("wall_seconds_to_delivered", "seconds from trigger to delivered"),
    ):
        ours, naive = (report["dags"][dag][key] for dag in (OURS, NAIVE))
        cells = [f"{s['median']:.2f} ({s['least']:.2f} to {s['most']:.2f})" for s in (ours, naive)]
        rows.append(f"| {title} | {cells[0]} | {cells[1]} | {ours['median'] / naive['median']:.2f} |")
    rows.append(
        f"\nThe library's own work on one such job, in one plain process: {report['library_cpu_per_job']:.2f} CPU-seconds."
    )
    return "\n".join(rows)


if __name__ == "__main__":
    main()
