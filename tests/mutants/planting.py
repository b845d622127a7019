"""Planting a bug in a copy of the library, and running the tests that promise to notice it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.mutants.planted import Mutant

__all__ = ["MovedOn", "Ran", "Runner", "plant"]

ROOT = Path(__file__).parents[2]
#: Whether it fails is the question, not the smallest way to make it fail.
_OPTIONS = (
    "-x", "-q", "--no-header", "-p", "no:cacheprovider", "--hypothesis-profile=unshrunk",
    # What is loaded before pytest begins keeps its bare asserts: none of that is a test.
    "-W", "ignore::pytest.PytestAssertRewriteWarning",
)  # fmt: skip


class MovedOn(ValueError):
    """The code that a bug is planted in is not there any more, or there twice."""


def plant(mutant: Mutant | None, folder: Path) -> Path:
    """Copy the library to `folder`, with the bug in it; return where the copy is. Raises `MovedOn`."""
    include = folder / "include"
    # With what Python compiled of it: a file is compiled anew only where the bug changes it.
    shutil.copytree(ROOT / "include", include)
    for name, old, new in mutant.edits if mutant else ():
        file = include / "aiprod" / name
        source = file.read_text()
        if source.count(old) != 1:
            raise MovedOn(f"{name} moved on: plant {mutant.name!r} anew" if mutant else name)
        file.write_text(source.replace(old, new))
    return include


@dataclass(frozen=True)
class Ran:
    """What a run came to: pytest's exit code, and the end of what it said. 1: tests failed, so the bug was noticed."""

    code: int
    said: str


@dataclass
class Runner:
    """One process that has the big libraries loaded and forks for every run (`tests.mutants.warm`). Not for two threads."""

    _warm: subprocess.Popen[str] | None = field(default=None, init=False)

    def run(self, include: Path, tests: Sequence[str], folder: Path, *, seconds: float = 300) -> Ran:
        """Run tests against a copy of the library. Raises `TimeoutError` when they do not end in `seconds`."""
        said = folder / "said.txt"
        paths = [str(include), str(ROOT / "plugins")]
        options = [*_OPTIONS, f"--basetemp={folder / 'run'}", "-o", f"pythonpath={' '.join(paths)} ."]
        asked = {"arguments": [*options, *tests], "paths": paths, "said": str(said)}
        warm = self._started()
        assert warm.stdin is not None and warm.stdout is not None
        warm.stdin.write(json.dumps(asked) + "\n")
        warm.stdin.flush()
        if not select.select([warm.stdout], [], [], seconds)[0]:
            self.close()
            raise TimeoutError(f"the tests did not end in {seconds:g} s")
        answer = warm.stdout.readline()
        if not answer:
            self.close()
            raise RuntimeError("the process that runs the tests is gone")
        return Ran(int(answer), said.read_text(errors="replace")[-2000:])

    def _started(self) -> subprocess.Popen[str]:
        if self._warm is None:
            env = {name: value for name, value in os.environ.items() if not name.startswith(("AIPROD_", "PYTEST_", "SAFETY_"))}
            # The copy comes first, and alone: nothing of the library may be loaded before.
            env.pop("PYTHONPATH", None)
            self._warm = subprocess.Popen(
                [sys.executable, "-m", "tests.mutants.warm"],
                cwd=ROOT,
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        return self._warm

    def close(self) -> None:
        """End the process and whatever it runs."""
        if self._warm is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._warm.pid, signal.SIGKILL)
        self._warm.communicate()
        self._warm = None
