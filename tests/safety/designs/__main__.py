"""`python -m tests.safety.designs`: what the usual designs overspend, double and lose on the storms that ours weathers."""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Literal

from benchmarks.kept import measured
from tests.postgres import INSTALL, PrivatePostgres, binaries
from tests.safety.designs.run import OURS, one, today
from tests.safety.designs.score import Score
from tests.safety.designs.shop import Shop
from tests.safety.designs.usual import USUAL
from tests.safety.ground import Ground
from tests.safety.plan import draw

DESIGNS: tuple[type[Shop] | None, ...] = (*USUAL, None)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.safety.designs", description=__doc__)
    parser.add_argument("--schedules", type=int, default=60, help="how many storms each design goes through")
    parser.add_argument("--seed", type=int, default=1, help="the first storm's seed; the next ones count on")
    parser.add_argument("--seconds", type=float, help="stop beginning storms after this long")
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--out", type=Path, default=Path("var/safety"), help="where designs.json goes")
    given = parser.parse_args(arguments)
    began = time.monotonic()
    scores = storms(range(given.seed, given.seed + given.schedules), given.database, given.seconds)
    said: dict[str, Any] = {
        "measured": measured(), "date": today(), "seed": given.seed, "schedules": len(scores[OURS]), "database": given.database,
        "seconds": round(time.monotonic() - began, 1), "designs": {name: total(found) for name, found in scores.items()},
    }  # fmt: skip
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "designs.json").write_text(json.dumps(said, indent=2) + "\n")
    print(table(said["designs"]))
    ours = said["designs"][OURS]
    return 1 if ours["overspend"] or ours["duplicates"] or ours["lost"] else 0


def storms(seeds: Sequence[int], database: Literal["sqlite", "postgres"], seconds: float | None) -> dict[str, list[Score]]:
    """Every design through every storm, one after the other; a storm is begun for all of them or for none."""
    began = time.monotonic()
    server = _server() if database == "postgres" else None
    ground = Ground(database, server, server.database() if server is not None else "")
    found: dict[str, list[Score]] = {}
    gc.collect()
    gc.freeze()
    try:
        for seed in seeds:
            if found and seconds is not None and time.monotonic() - began > seconds:
                break
            for design in DESIGNS:
                found.setdefault(design.title if design else OURS, []).append(one(draw(seed, database), ground, design))
    finally:
        gc.unfreeze()
        ground.close()
        if server is not None:
            server.stop()
    return found


def total(scores: Sequence[Score]) -> dict[str, int]:
    """The sums over all storms, and in how many each promise broke."""
    sums = {field.name: sum(asdict(score)[field.name] for score in scores) for field in fields(Score)}
    return sums | {
        f"storms_with_{name}": sum(asdict(s)[name] > 0 for s in scores) for name in ("overspend", "duplicates", "lost")
    }


def table(designs: dict[str, dict[str, int]]) -> str:
    """The comparison in Markdown."""
    lines = [
        "| design | billable accepts | overspent | accepted twice | paid and lost | parked for a person | shots delivered |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, d in designs.items():
        over = f"${d['overspend'] / 1_000_000:,.2f} in {d['storms_with_overspend']}" if d["overspend"] else "$0"
        lines.append(f"| {name} | {d['accepts']} | {over} | {d['duplicates']} | {d['lost']} | {d['parked']} | {d['delivered']} |")
    return "\n".join(lines)


def _server() -> PrivatePostgres:
    folder = binaries()
    if folder is None:
        raise SystemExit(INSTALL)
    return PrivatePostgres(folder)


if __name__ == "__main__":
    sys.exit(main())
