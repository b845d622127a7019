"""Where a benchmark's figures are kept, with what it takes to judge them: when, how and on what they were measured."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["FOLDER", "keep", "measured"]

CHECKOUT = Path(__file__).parents[1]
FOLDER = CHECKOUT / "var" / "bench"


def keep(name: str, report: Mapping[str, Any]) -> Path:
    """Write `var/bench/NAME.json`: the report, and how it came about under `measured`; docs/benchmarks.md is made from these."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps({"measured": measured(), **report}, indent=2) + "\n", encoding="utf-8")
    return path


def measured() -> dict[str, Any]:
    """When (UTC), by which command, on which machine, and how busy that was (load over the last minute)."""
    # As it was typed: `python -m benchmarks.x --flag`.
    module = sys.modules["__main__"].__spec__
    program = f"python -m {module.name.removesuffix('.__main__')}" if module else Path(sys.argv[0]).name
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join([program, *sys.argv[1:]]),
        "machine": machine(),
        "load": round(os.getloadavg()[0], 1),
    }


def machine() -> str:
    """Cores, processor, memory and Python, in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores of {_processor()}, {memory:.0f} GB, Linux, Python {platform.python_version()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
