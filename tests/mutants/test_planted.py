"""The suite notices every planted bug. Each runs in a copy of the library, against the tests that promise to see it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.planted import PLANTED, Mutant

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("mutant", PLANTED, ids=lambda m: m.name.replace(" ", "-"))
def test_a_planted_bug_is_noticed(mutant: Mutant, tmp_path: Path) -> None:
    include = tmp_path / "include"
    shutil.copytree(ROOT / "include", include, ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in mutant.edits:
        file = include / "aiprod" / name
        source = file.read_text()
        assert source.count(old) == 1, f"{name} moved on: plant this bug anew"
        file.write_text(source.replace(old, new))

    ran = _run(include, mutant.noticed_by, tmp_path)

    # 1: tests failed. Anything else means that they did not run, and noticed nothing.
    assert ran.returncode == 1, f"nobody noticed: {mutant.name}\n{ran.stdout[-2000:]}"


def test_without_a_bug_nobody_notices_anything(tmp_path: Path) -> None:
    """Else a test that fails in any copy would count as one that saw the bug."""
    include = tmp_path / "include"
    shutil.copytree(ROOT / "include", include, ignore=shutil.ignore_patterns("__pycache__"))

    ran = _run(include, tuple(dict.fromkeys(test for mutant in PLANTED for test in mutant.noticed_by)), tmp_path)

    assert ran.returncode == 0, ran.stdout[-2000:]


def _run(include: Path, tests: tuple[str, ...], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AIPROD_", "PYTEST_"))}
    options = ["-x", "-q", "--no-header", "-p", "no:cacheprovider", "--hypothesis-profile=unshrunk"]
    options.append(f"--basetemp={tmp_path / 'run'}")
    paths = f"pythonpath={include} plugins ."
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-o", paths, *tests],
        cwd=ROOT,
        env={**env, "PYTHONPATH": os.pathsep.join([str(include), "plugins"])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
