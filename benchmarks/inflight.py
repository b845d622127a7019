"""What a render costs while the vendor works on it: a thousand at one triggerer, beside a task that sleeps and polls.

    python -m benchmarks.inflight [--quick] [--renders 1000] [--tasks 1000] [--naive 4]

One real Airflow (SQLite, LocalExecutor) with Runway emulated in a process of its own, which is not counted. Memory is the
proportional set size of the triggerer's two processes above what they need when they watch nothing; CPU is their user + system
time above that of the idle triggerer, in three windows. The naive figure is measured on a few tasks and per task: no
machine of ours runs a thousand, so its totals for a thousand are multiplied, and say so.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from aiprod.backends import backend
from aiprod.catalog import catalog
from aiprod.emulators.running import Emulators
from aiprod.ledger import Ledger
from aiprod.models import RenderRequest
from benchmarks.kept import keep
from tools import processes
from tools.local_airflow import CHECKOUT, LocalAirflow

PARKED, NAIVE = "inflight_parked", "inflight_naive"
WINDOWS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--renders", type=int, default=1_000)
    parser.add_argument("--tasks", type=int, default=0, help="tasks that share the renders; 0: one each")
    parser.add_argument("--naive", type=int, default=4, help="tasks that sleep and poll")
    parser.add_argument("--window", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--quick", action="store_true", help="100 renders and short windows: does it run, not what it costs")
    args = parser.parse_args()
    if args.quick:
        args.renders, args.naive, args.window = min(args.renders, 100), min(args.naive, 2), 20.0
    with tempfile.TemporaryDirectory() as folder:
        report = measure(
            Path(folder), renders=args.renders, tasks=args.tasks or args.renders, naive=args.naive, window=args.window
        )
    print(table(report))
    print(f"\nwritten to {keep('inflight', report)}")


def measure(root: Path, *, renders: int, tasks: int, naive: int, window: float) -> dict[str, Any]:
    """Watch the same vendor in both ways, one after the other, and return what each render cost."""
    # A triggerer keeps a log file open per trigger.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Emulators(root / "vendors", seconds_per_render=6 * 3600.0) as vendors:
        env = _environment(root, vendors.environment, tasks)
        ids = _rendering(renders + naive)
        dags = CHECKOUT / "benchmarks" / "dags"
        with LocalAirflow(root / "airflow", dags=dags, env=env) as airflow:
            airflow.wait_ready(180, dags=[PARKED, NAIVE])
            airflow.call("POST", "pools", json={"name": "parked", "slots": 0, "include_deferred": False})
            triggerer = _writing(airflow, "triggerer.log")
            # The first question of a triggerer's life makes it load an API server into itself.
            _parked(airflow, "warm", ids[:1], per_task=renders, tasks=tasks)
            _end(airflow, PARKED, "warm")
            idle = _windows(triggerer, window, WINDOWS)
            _parked(airflow, "all", ids[:renders], per_task=-(-renders // tasks), tasks=tasks)
            seen = _windows(triggerer, window, WINDOWS)
            files = sum(process.num_fds() for process in _family(triggerer))
            slots = airflow.call("GET", "pools/default_pool")
            _end(airflow, PARKED, "all")
            polling = _naively(airflow, ids[renders:], window)
    return {
        "renders": renders,
        "tasks": tasks,
        "cores": os.cpu_count(),
        "poll_seconds": 15.0,
        "worker_slots_held": slots["running_slots"],
        "open_files_of_the_triggerer": files,
        "triggerer_idle": {"mb": idle["mb"], "cpu_per_minute": idle["cpu"]},
        "parked": _each(seen, idle, renders),
        "naive": _each(polling, {"mb": [0.0], "cpu": [0.0]}, naive),
        "naive_tasks": naive,
    }


def _environment(root: Path, vendors: dict[str, str], tasks: int) -> dict[str, str | None]:
    """The catalogue as it ships, but for what a thousand renders at once would not be allowed; the same here."""
    env = {
        "AIPROD_VAR_DIR": str(root / "var"),
        "AIPROD_BENCH_RENDERS": str(tasks),
        "AIRFLOW__TRIGGERER__CAPACITY": "2000",
        "AIRFLOW__CORE__MAX_MAP_LENGTH": "2000",
        **vendors,
    }
    os.environ.update(env)
    (root / "var").mkdir()
    Ledger(f"sqlite:///{root / 'var' / 'ledger.db'}").upgrade()
    return {**env, "AIPROD_DRY_RUN": None}


def _rendering(count: int) -> list[str]:
    """Order renders from the vendor and return its ids."""
    adapter = backend(catalog(), "runway")

    def one(n: int) -> str:
        request = RenderRequest(
            backend="runway",
            model="gen4.5",
            prompt=f"a lake, {n}",
            seconds=5,
            asked_seconds=5,
            aspect_ratio="16:9",
            resolution="720p",
            width=1280,
            height=720,
            fps=24,
            audio=False,
            seed=n,
        )
        return adapter.submit(request, key=f"bench-{n}").vendor_id

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, range(count)))


def _parked(airflow: LocalAirflow, run_id: str, ids: Sequence[str], *, per_task: int, tasks: int) -> None:
    """Start a run, park its tasks, and wait until the triggerer has asked for all renders once."""
    airflow.trigger(PARKED, {}, run_id)
    airflow.wait(lambda: len(airflow.task_instances(PARKED, run_id)) == tasks or None, "the tasks were not there", timeout=120)
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks.park", run_id, str(per_task)],
        input=json.dumps(list(ids)),
        # Triggers are stored encrypted, with this instance's key.
        env=airflow.environment() | json.loads((airflow.home / "instance.json").read_text())["secrets"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    if told.returncode:
        raise SystemExit(told.stderr)
    log = airflow.home / "logs"
    airflow.wait(
        lambda: len(list(log.glob(f"dag_id={PARKED}/run_id={run_id}/**/*.trigger.*"))) == -(-len(ids) // per_task) or None,
        "the triggerer did not take them all",
        timeout=300,
    )
    time.sleep(2 * catalog().backends["runway"].poll_seconds)


def _end(airflow: LocalAirflow, dag: str, run_id: str) -> None:
    airflow.call("PATCH", f"dags/{dag}/dagRuns/{run_id}", json={"state": "failed"})
    airflow.wait_run(dag, run_id, timeout=120)
    time.sleep(30)


def _naively(airflow: LocalAirflow, ids: Sequence[str], window: float) -> dict[str, list[float]]:
    """The same watch in tasks: what their processes need, all of them."""
    airflow.trigger(NAIVE, {"vendor_ids": list(ids)}, "naive")

    def running() -> bool | None:
        states = [ti["state"] for ti in airflow.task_instances(NAIVE, "naive") if ti["task_id"] == "watch"]
        return True if states.count("running") == len(ids) else None

    airflow.wait(running, "the naive tasks did not run", timeout=120)
    time.sleep(20)
    workers = [p for p in processes.marked(airflow.home) if "airflow worker -- LocalExecutor" in _title(p)]
    busy = [p for worker in workers for p in (worker, *worker.children()) if worker.children()]
    return _windows(busy, window, WINDOWS)


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _writing(airflow: LocalAirflow, log: str) -> list[psutil.Process]:
    """The component whose output goes to a log, by its open file."""
    wanted = str(airflow.home / "logs" / log)
    return [p for p in processes.marked(airflow.home) if _output(p) == wanted]


def _output(process: psutil.Process) -> str:
    try:
        return os.readlink(f"/proc/{process.pid}/fd/1")
    except OSError:
        return ""


def _family(parents: Sequence[psutil.Process]) -> list[psutil.Process]:
    return [p for parent in parents for p in (parent, *parent.children(recursive=True))]


def _windows(parents: Sequence[psutil.Process], seconds: float, count: int) -> dict[str, list[float]]:
    """Memory in MB at the end, and CPU-seconds per minute, of some processes and their children, window by window."""
    seen: dict[str, list[float]] = {"mb": [], "cpu": []}
    for _ in range(count):
        started, before = time.monotonic(), _cpu(parents)
        time.sleep(seconds)
        seen["cpu"].append((_cpu(parents) - before) * 60 / (time.monotonic() - started))
        seen["mb"].append(sum(process.memory_full_info().pss for process in _family(parents)) / 1e6)
    return seen


def _cpu(parents: Sequence[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in _family(parents))


def _each(seen: dict[str, list[float]], idle: dict[str, list[float]], count: int) -> dict[str, dict[str, float]]:
    """Per render: KB above idle, and CPU-milliseconds per minute above idle."""
    none, still = statistics.median(idle["mb"]), statistics.median(idle["cpu"])
    return {
        "kb_per_render": _spread([(mb - none) * 1_000 / count for mb in seen["mb"]]),
        "cpu_ms_per_render_minute": _spread([(cpu - still) * 1_000 / count for cpu in seen["cpu"]]),
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def table(report: dict[str, Any]) -> str:
    """Return the report as the table in the README."""
    rows = [
        "| per render in flight, median (least to most) | RenderTrigger | naive polling task | ratio |",
        "|---|---:|---:|---:|",
    ]
    shown: list[tuple[str, str, Callable[[float], str]]] = [
        ("kb_per_render", "memory, KB", lambda value: f"{value:,.0f}"),
        ("cpu_ms_per_render_minute", "CPU-milliseconds per minute", lambda value: f"{value:,.1f}"),
    ]
    for key, title, told in shown:
        ours, theirs = report["parked"][key], report["naive"][key]
        cells = [f"{told(s['median'])} ({told(s['least'])} to {told(s['most'])})" for s in (ours, theirs)]
        rows.append(f"| {title} | {cells[0]} | {cells[1]} | 1 : {theirs['median'] / max(ours['median'], 1e-9):,.0f} |")
    rows.append(f"| worker slots held by {report['renders']:,} | {report['worker_slots_held']} | {report['renders']:,} | |")
    gigabytes = report["naive"]["kb_per_render"]["median"] * report["renders"] / 1e6
    rows.append(
        f"\nMeasured on {report['renders']:,} renders in {report['tasks']:,} tasks against {report['naive_tasks']} naive tasks, "
        f"polled every {report['poll_seconds']:g} s. A thousand naive tasks were not run: by these figures they would need "
        f"{gigabytes:,.0f} GB. The triggerer had {report['open_files_of_the_triggerer']:,} files open."
    )
    return "\n".join(rows)


if __name__ == "__main__":
    main()
