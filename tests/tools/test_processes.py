"""Ending means: everything that is ours, nothing that is not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tools import processes

#: Forks a child into a session of its own, then both wait; neither listens to SIGTERM.
STUBBORN = r"""
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
os.write(1, b"ready\n")
time.sleep(600)
"""


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    made: list[subprocess.Popen[str]] = []
    yield made
    for process in made:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def start(made: list[subprocess.Popen[str]], home: Path, code: str = STUBBORN, lines: int = 2) -> subprocess.Popen[str]:
    """Start a program of the instance in `home` and wait until it says that it is ready."""
    env = {**os.environ, processes.MARK: str(home)}
    process = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True)
    made.append(process)
    assert process.stdout is not None
    for _ in range(lines):
        assert process.stdout.readline() == "ready\n"
    return process


def test_a_child_in_another_session_that_ignores_sigterm_is_ended_too(started, tmp_path):
    start(started, tmp_path)
    assert len(processes.marked(tmp_path)) == 2

    processes.end(lambda: processes.marked(tmp_path), grace=0.1)

    assert processes.marked(tmp_path) == []


def test_a_child_whose_parent_is_gone_is_still_found(started, tmp_path):
    parent = start(started, tmp_path)
    parent.kill()
    parent.wait()
    orphans = processes.marked(tmp_path)
    assert len(orphans) == 1

    processes.end(lambda: processes.marked(tmp_path), grace=0.1)

    assert not orphans[0].is_running() or orphans[0].status() == psutil.STATUS_ZOMBIE


def test_another_instance_is_left_alone(started, tmp_path):
    other = start(started, tmp_path / "other", "print('ready', flush=True); import time; time.sleep(600)", lines=1)

    processes.end(lambda: processes.marked(tmp_path), grace=0.1)

    assert other.poll() is None


def test_the_one_who_ends_them_is_not_ended(monkeypatch, tmp_path):
    monkeypatch.setenv(processes.MARK, str(tmp_path))
    assert os.getpid() not in [process.pid for process in processes.marked(tmp_path)]


def test_one_that_nothing_ends_is_named(monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr(processes.time, "monotonic", lambda: float(next(clock)))

    class Immortal:
        pid = 1

        def terminate(self) -> None: ...

        def kill(self) -> None: ...

        def name(self) -> str:
            return "ghost"

    with pytest.raises(processes.ProcessesLeft, match="1 ghost"):
        processes.end(lambda: [Immortal()], grace=0.0)  # type: ignore[list-item]
