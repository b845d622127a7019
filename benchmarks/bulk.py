"""What orchestration costs per clip: a run of fifty, a run of one, the DAG most people would write, and a bare script.

    python -m benchmarks.bulk [--batch 50] [--singles 5] [--rounds 3]

All buy the same two-second clip from a vendor that renders for five seconds, in one Airflow, rounds interleaved. CPU is
user + system time of Airflow's whole process tree (scheduler, api-server, triggerer, dag-processor, tasks and what tasks
start), what it burns when idle subtracted; `orchestration` is that without the library's own work per clip (pricing,
ledger, decoding, judging, cutting, delivering), measured in one plain process that does a batch. The script submits,
polls and fetches with asyncio, and keeps no books: no orchestration costs less.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiprod.backends import backend
from aiprod.catalog import catalog
from aiprod.ledger import queue
from aiprod.ledger.engine import now as database_now
from aiprod.models import USD, RenderRequest
from aiprod.pipeline import Pipeline
from benchmarks import cpu
from benchmarks.kept import keep
from benchmarks.overhead import CHECKOUT, NAIVE, OURS, environment, idle, pause_what_is_scheduled
from tools.local_airflow import LocalAirflow

#: What one clip of a full batch may cost, in CPU-seconds of orchestration.
GOAL = 0.10
RENDER_SECONDS = 5
#: As the catalogue ships it.
POLL_SECONDS = 15.0
ORDER = {"prompt": f"a lake at dawn [[runway=slow:{RENDER_SECONDS}]]", "preset": "quick_social", "seconds": 2, "audio": False}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--batch", type=int, default=50, help="clips in one run")
    parser.add_argument("--singles", type=int, default=5, help="clips per round where each has a run of its own")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = measure(Path(folder), batch=args.batch, singles=args.singles, rounds=args.rounds)
    print(f"{table(report)}\n\nwritten to {keep('bulk', report)}")
    return 0 if report["designs"]["batch"]["orchestration"]["median"] <= GOAL else 1


def measure(root: Path, *, batch: int, singles: int, rounds: int) -> dict[str, Any]:
    """Run every design in turn and return medians and spreads, per clip."""
    env = environment(root, slots=max(batch, 20), poll_seconds=POLL_SECONDS)
    _library("alone-warm", 2)
    library = statistics.median(_library(f"alone-{n}", batch) for n in range(rounds))
    cpu.adopt_orphans()
    dags = root / "dags"
    shutil.copytree(CHECKOUT / "dags", dags)
    shutil.copy(CHECKOUT / "benchmarks" / "dags" / "naive_video.py", dags)
    designs: dict[str, Callable[[LocalAirflow, str], int]] = {
        "batch": lambda airflow, name: _batch(airflow, name, batch),
        "single": lambda airflow, name: _each(airflow, OURS, name, singles),
        "naive": lambda airflow, name: _each(airflow, NAIVE, name, singles),
    }
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in designs}
    with LocalAirflow(root / "airflow", dags=dags, env=env) as airflow:
        airflow.wait_ready(180, dags=[OURS, NAIVE])
        pause_what_is_scheduled(airflow)
        for design, run in designs.items():
            run(airflow, f"warm-{design}")
        still = idle(airflow)
        for n in range(rounds):
            for design, run in designs.items():
                seen[design].append(_round(airflow, run, f"r{n}-{design}", still))
    script = [_script(batch) for _ in range(rounds)]
    return {
        "batch": batch,
        "singles": singles,
        "rounds": rounds,
        "cores": os.cpu_count(),
        "goal": GOAL,
        "idle_cpu_per_second": still,
        "library_cpu_per_clip": library,
        "designs": {name: _summary(figures, library) for name, figures in seen.items()},
        "script_cpu_per_clip": _spread(script),
    }


def _library(name: str, count: int) -> float:
    """CPU-seconds per clip of the library's own work on a batch: every step, no Airflow, measuring process included."""
    pipeline, before = Pipeline(), cpu.own()
    ids = pipeline.carry(_entered(pipeline, name, count), run_id=name)
    for one in pipeline.route(ids, 1):
        while not pipeline.render(ids, one, 1).finished:
            time.sleep(RENDER_SECONDS)
    pipeline.score(ids, 1)
    pipeline.assemble(ids)
    pipeline.reviews(ids)
    pipeline.deliver(ids)
    pipeline.settle(name)
    pipeline.push_metrics()
    return (cpu.own() - before) / count


def _entered(pipeline: Pipeline, campaign: str, count: int) -> list[str]:
    """Rows of a campaign, approved together."""
    ids = pipeline.enlist([ORDER] * count, campaign=campaign, amount=1_000 * USD, by="bench")
    with pipeline.ledger.write() as conn:
        # Else `dispatch`, which looks every five minutes, may start another run for them.
        queue.postpone(conn, ids, database_now(conn) + timedelta(hours=1))
    return ids


def _batch(airflow: LocalAirflow, name: str, count: int) -> int:
    """One run that carries all; return how many clips."""
    airflow.trigger(OURS, {"batch": _entered(Pipeline(), name, count)}, name)
    _over(airflow, OURS, [name])
    return count


def _each(airflow: LocalAirflow, dag: str, name: str, count: int) -> int:
    """A run for each, all at once; return how many clips."""
    run_ids = [f"{name}-{n}" for n in range(count)]
    for run_id in run_ids:
        airflow.trigger(dag, {**ORDER, "job_id": run_id}, run_id)
    _over(airflow, dag, run_ids)
    return count


def _over(airflow: LocalAirflow, dag: str, run_ids: Sequence[str]) -> None:
    """Wait until runs are over; looked at rarely, since looking costs the api-server what is measured here."""
    for run_id in run_ids:
        while airflow.run(dag, run_id)["state"] not in ("success", "failed"):
            airflow.check()
            time.sleep(2)
        state = airflow.run(dag, run_id)["state"]
        if state != "success":
            raise SystemExit(f"{run_id} ended {state}: {airflow.states(dag, run_id)}")


def _round(airflow: LocalAirflow, run: Callable[[LocalAirflow, str], int], name: str, still: float) -> dict[str, float]:
    started, before = time.monotonic(), cpu.spent_when_still(airflow.home)
    clips = run(airflow, name)
    wall = time.monotonic() - started
    used = cpu.spent_when_still(airflow.home) - before - still * (time.monotonic() - started)
    return {"cpu": used / clips, "wall": wall}


def _script(count: int) -> float:
    """CPU-seconds per clip of a script that buys the same clips with asyncio and writes nothing down."""
    adapter = backend(catalog(), "runway")

    async def one(n: int) -> None:
        request = RenderRequest(
            backend="runway", model="gen4.5", prompt=f"{ORDER['prompt']} {n}", seconds=2, asked_seconds=2, aspect_ratio="16:9",
            resolution="480p", width=854, height=480, fps=24, audio=False, seed=n,
        )  # fmt: skip
        accepted = await asyncio.to_thread(adapter.submit, request, key=f"script-{os.getpid()}-{time.monotonic_ns()}-{n}")
        while not (await asyncio.to_thread(adapter.poll, accepted.vendor_id)).final:
            await asyncio.sleep(1)
        with tempfile.TemporaryDirectory() as folder:
            await asyncio.to_thread(adapter.fetch, accepted.vendor_id, Path(folder) / "clip.mp4")

    async def all_of_them() -> None:
        await asyncio.gather(*(one(n) for n in range(count)))

    before = time.process_time()
    asyncio.run(all_of_them())
    return (time.process_time() - before) / count


def _summary(figures: Sequence[dict[str, float]], library: float) -> dict[str, dict[str, float]]:
    return {
        "cpu": _spread([f["cpu"] for f in figures]),
        "orchestration": _spread([f["cpu"] - library for f in figures]),
        "wall": _spread([f["wall"] for f in figures]),
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def table(report: dict[str, Any]) -> str:
    """Return the report as a table."""
    titles = {
        "batch": f"`render_video`, one run for {report['batch']} clips",
        "single": "`render_video`, one run per clip",
        "naive": "the naive polling DAG, one run per clip",
    }
    rows = ["| per clip, median (least to most) | CPU-seconds | of these orchestration |", "|---|---:|---:|"]
    for design, title in titles.items():
        cells = [_cell(report["designs"][design][key]) for key in ("cpu", "orchestration")]
        rows.append(f"| {title} | {cells[0]} | {cells[1]} |")
    rows.append(f"| a plain asyncio script, no books | {_cell(report['script_cpu_per_clip'])} | all of it |")
    ours, single = (report["designs"][name]["orchestration"]["median"] for name in ("batch", "single"))
    rows.append(
        f"\nThe library's own work on one such clip, in one plain process: {report['library_cpu_per_clip']:.3f} CPU-seconds. "
        f"Orchestration of a clip in a batch costs {ours:.3f}, promised are {GOAL:.2f}; a run of its own costs "
        f"{single / max(ours, 1e-9):.0f} times as much."
    )
    return "\n".join(rows)


def _cell(spread: dict[str, float]) -> str:
    return f"{spread['median']:.3f} ({spread['least']:.3f} to {spread['most']:.3f})"


if __name__ == "__main__":
    raise SystemExit(main())
