"""A campaign of thousands of clips, approved once, carried by bulk batches, with faults at the vendors."""

from __future__ import annotations

import csv
import time
from pathlib import Path

from aiprod.ledger import campaigns
from benchmarks import cpu
from benchmarks.load.faults import dealt
from benchmarks.load.report import Figure
from benchmarks.load.watching import Sampler, tree_mb
from benchmarks.load.world import CLIP, World

__all__ = ["campaign"]

_NAME, _DAG = "many-clips", "bulk_render"
#: What one clip may take at most before the campaign is given up, in seconds of wall.
_SECONDS_PER_CLIP, _SECONDS_AROUND = 2.0, 300.0


def campaign(world: World) -> list[Figure]:
    """Rows in, videos out: throughput, CPU per clip, peak memory, and who was not delivered."""
    world.renders_take(world.sizes.short_render)
    source, unlucky = _rows(world)
    sizes = _kilobytes(world)
    with Sampler(lambda: tree_mb(world.airflow.home), every=5) as memory:
        before = cpu.spent_when_still(world.airflow.home)
        world.airflow.trigger(_DAG, {"campaign": _NAME, "source": str(source)}, _NAME)
        _approve(world)
        approved = time.monotonic()
        limit = _SECONDS_AROUND + _SECONDS_PER_CLIP * world.sizes.clips
        state = world.ended([_NAME], timeout=limit, dag=_DAG)[_NAME].state
        wall = time.monotonic() - approved
        used = cpu.spent_when_still(world.airflow.home) - before
    with world.ledger.read() as conn:
        ids = [row.job_id for row in campaigns.rows(conn, _NAME)]
    made = len(world.delivered(ids))
    return [
        Figure(
            "clips delivered", made, least=0.95 * world.sizes.clips, goal="all, by fallback", said=f"of {world.sizes.clips:,}"
        ),
        Figure("faults dealt", unlucky, least=1, said=f"{100 * world.sizes.faults:g} % of the clips"),
        Figure("campaign's run is green", float(state == "success"), goal="1"),
        Figure("clips a minute", 60 * made / wall, said=f"{wall:.0f} s from approval to report"),
        Figure(
            "CPU-seconds per clip",
            used / max(made, 1),
            "s",
            said="all of it: library, ledger, decoding, Airflow, and what Airflow burns anyway",
        ),
        *(Figure(f"{what} per clip", (now - sizes[what]) / max(made, 1), "kB") for what, now in _kilobytes(world).items()),
        Figure("peak memory of all Airflow processes", max(memory.values, default=0.0), "MB", said="proportional"),
    ]


def _rows(world: World) -> tuple[Path, int]:
    """Write the campaign's source; return it, and how many of its clips meet a fault."""
    keys = [f"clip{n}" for n in range(world.sizes.clips)]
    unlucky = dealt(keys, part=world.sizes.faults, seed=world.sizes.seed)
    source = world.root / "rows.csv"
    with source.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["key", "prompt", *CLIP])
        for key in keys:
            table.writerow([key, f"a postcard of {key} {unlucky.get(key, '')}".strip(), *CLIP.values()])
    return source, len(unlucky)


def _approve(world: World) -> None:
    """A person looks at the plan and agrees."""
    world.airflow.wait_task(_DAG, _NAME, "approve", ["awaiting_input"], timeout=600)
    log, report = world.airflow.home / "logs" / "scheduler.log", f"task_id=approve, run_id={_NAME},"
    world.airflow.wait(lambda: True if report in log.read_text() else None, "approve is not reported", timeout=60)
    # People are slower than the scheduler.
    time.sleep(1)
    world.airflow.respond(_DAG, _NAME, "approve", ["Approve"])


def _kilobytes(world: World) -> dict[str, float]:
    """What the two databases and the storage hold."""
    files = [file for file in (world.root / "var" / "storage").rglob("*") if file.is_file()]
    return {
        "ledger": (world.root / "var" / "ledger.db").stat().st_size / 1e3,
        "Airflow's database": (world.airflow.home / "airflow.db").stat().st_size / 1e3,
        "storage": sum(file.stat().st_size for file in files) / 1e3,
    }
