"""CPU time of one Airflow and of everything its processes ever started, those that outlived their parents included.

A task that measured a video leaves its measuring process behind: it has no environment of ours, so no mark, and ends a
moment after the task. Whoever measures adopts such orphans, so that the kernel adds their time to ours when they end.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from tools import processes

__all__ = ["adopt_orphans", "own", "spent", "spent_when_still"]

_PR_SET_CHILD_SUBREAPER = 36
#: The command line of a measuring process.
_MEASURES = "aiprod.qa.apart"
#: Children that this process had before it adopted any: its own measuring process lives as long as it does.
_own_children: set[int] = set()


def adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own. Linux only; elsewhere orphans are not counted."""
    _own_children.update(child.pid for child in psutil.Process().children())
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def spent(home: Path) -> float:
    """User and system seconds of every process of the Airflow in `home`, those already ended and adopted orphans included."""
    _reap()
    total = _ended_children()
    for process in processes.marked(home):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def spent_when_still(home: Path, *, within: float = 10.0) -> float:
    """The same, once no measuring process is left to be added; at most `within` seconds later."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline and _measuring():
        _reap()
        time.sleep(0.2)
    return spent(home)


def own() -> float:
    """User and system seconds of this process, of its children that ended, and of those that still run."""
    total = time.process_time() + _ended_children()
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            times = child.cpu_times()
            total += times.user + times.system
    return total


def _ended_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _measuring() -> bool:
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            lives = child.status() != psutil.STATUS_ZOMBIE
            if lives and child.pid not in _own_children and _MEASURES in child.cmdline():
                return True
    return False


def _reap() -> None:
    """Let orphans that ended go: what they used is ours from then on."""
    for child in psutil.Process().children():
        with suppress(psutil.Error, ChildProcessError):
            if child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)
