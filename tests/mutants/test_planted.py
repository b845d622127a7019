"""The suite notices every planted bug. Each runs in a copy of the library, against the tests that promise to see it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.mutants.planted import MODEL, PLANTED, Mutant

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow

#: What a run came to: pytest's exit code and the end of what it said.
Ran = tuple[int, str]


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, Mutant], Ran]]:
    """Everything this session asks for, two at a time; each test waits for its own."""
    with ThreadPoolExecutor(2) as pool:
        begun: dict[tuple[str, str], Future[Ran]] = {}
        for item in request.session.items:
            asked = getattr(item, "callspec", None)
            if item.path == Path(__file__) and asked is not None:
                mutant = asked.params["mutant"]
                name = item.function.__name__  # type: ignore[attr-defined]
                folder = tmp_path_factory.mktemp("mutant")
                begun[name, mutant.name] = pool.submit(_with_the_bug, mutant, _TESTS[name](mutant), folder)
        yield lambda test, mutant: begun[test, mutant.name].result()
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("mutant", PLANTED, ids=lambda m: m.name.replace(" ", "-"))
def test_a_planted_bug_is_noticed(mutant: Mutant, runs: Callable[[str, Mutant], Ran]) -> None:
    _noticed(mutant, runs("test_a_planted_bug_is_noticed", mutant))


@pytest.mark.parametrize("mutant", [m for m in PLANTED if MODEL in m.noticed_by], ids=lambda m: m.name.replace(" ", "-"))
def test_the_model_notices_it_alone(mutant: Mutant, runs: Callable[[str, Mutant], Ran]) -> None:
    """Without being told where to look: it draws its own way every time."""
    _noticed(mutant, runs("test_the_model_notices_it_alone", mutant))


_TESTS: dict[str, Callable[[Mutant], tuple[str, ...]]] = {
    "test_a_planted_bug_is_noticed": lambda mutant: mutant.noticed_by,
    "test_the_model_notices_it_alone": lambda mutant: (MODEL,),
}


def test_without_a_bug_nobody_notices_anything(tmp_path: Path) -> None:
    """Else a test that fails in any copy would count as one that saw the bug."""
    every = tuple(dict.fromkeys(test for mutant in PLANTED for test in mutant.noticed_by))

    code, said = _run(_copy(tmp_path), every, tmp_path)

    assert code == 0, said


def _noticed(mutant: Mutant, ran: Ran) -> None:
    code, said = ran
    # 1: tests failed. Anything else means that they did not run, and noticed nothing.
    assert code == 1, f"nobody noticed: {mutant.name}\n{said}"


def _copy(folder: Path) -> Path:
    include = folder / "include"
    shutil.copytree(ROOT / "include", include, ignore=shutil.ignore_patterns("__pycache__"))
    return include


def _with_the_bug(mutant: Mutant, tests: tuple[str, ...], folder: Path) -> Ran:
    include = _copy(folder)
    for name, old, new in mutant.edits:
        file = include / "aiprod" / name
        source = file.read_text()
        if source.count(old) != 1:
            return -1, f"{name} moved on: plant this bug anew"
        file.write_text(source.replace(old, new))
    return _run(include, tests, folder)


def _run(include: Path, tests: tuple[str, ...], folder: Path) -> Ran:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AIPROD_", "PYTEST_"))}
    # Whether it fails is the question, not the smallest way to make it fail.
    options = ["-x", "-q", "--no-header", "-p", "no:cacheprovider", "--hypothesis-profile=unshrunk"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            *options,
            f"--basetemp={folder / 'run'}",
            "-o",
            f"pythonpath={include} plugins .",
            *tests,
        ],
        cwd=ROOT,
        env={**env, "PYTHONPATH": os.pathsep.join([str(include), "plugins"])},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return done.returncode, done.stdout[-2000:]
