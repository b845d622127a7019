"""The planted bugs of `tests/mutants`, run two at a time: a proof that nobody can fail proves nothing."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.mutants.planted import PLANTED, Mutant

__all__ = ["plant", "run_mutants"]

ROOT = Path(__file__).parents[2]


def plant(mutant: Mutant, folder: Path) -> Path:
    """Copy the library to `folder`, with the bug in it; return where the copy is."""
    include = folder / "include"
    shutil.copytree(ROOT / "include", include, ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in mutant.edits:
        file = include / "aiprod" / name
        source = file.read_text()
        if source.count(old) != 1:
            raise ValueError(f"{name} moved on: plant {mutant.name!r} anew")
        file.write_text(source.replace(old, new))
    return include


def run_mutants(
    seconds: float | None, *, seed: int, at_once: int = 2, tell: Callable[[str, str], Any] = lambda name, said: None
) -> dict[str, str]:
    """Run the tests that promise to notice each bug; return `killed`, `survived` or what went wrong, by name.

    With `seconds` a handful drawn by `seed`: as many as begin within that time.
    """
    order: list[Mutant] = list(PLANTED)
    if seconds is not None:
        random.Random(seed).shuffle(order)  # noqa: S311 - repeatable on purpose
    give_up = None if seconds is None else time.monotonic() + seconds

    def one(mutant: Mutant) -> tuple[str, str] | None:
        if give_up is not None and time.monotonic() > give_up:
            return None
        said = _run(mutant)
        tell(mutant.name, said)
        return mutant.name, said

    with ThreadPoolExecutor(at_once) as pool:
        return dict(found for found in pool.map(one, order) if found is not None)


def _run(mutant: Mutant) -> str:
    with tempfile.TemporaryDirectory(prefix="aiprod-mutant-") as scratch:
        try:
            include = plant(mutant, Path(scratch))
            code = _pytest(include, mutant.noticed_by, Path(scratch))
        except (ValueError, subprocess.TimeoutExpired) as error:
            return f"did not run: {error}"
    # 1: tests failed. Anything else than 0 means that they did not run, and noticed nothing.
    return {0: "survived", 1: "killed"}.get(code, f"did not run: pytest ended with {code}")


def _pytest(include: Path, tests: Sequence[str], scratch: Path) -> int:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AIPROD_", "PYTEST_", "SAFETY_"))}
    options = [
        "-x",
        "-q",
        "--no-header",
        "-p",
        "no:cacheprovider",
        "--hypothesis-profile=unshrunk",
        f"--basetemp={scratch / 'run'}",
    ]
    command = [sys.executable, "-m", "pytest", *options, "-o", f"pythonpath={include} plugins .", *tests]
    env["PYTHONPATH"] = os.pathsep.join([str(include), "plugins"])
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, timeout=300, check=False).returncode
