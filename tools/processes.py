"""Finding and ending every process of one Airflow instance, however deep it forked."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

#: Every process of an instance carries its home under this name. The environment outlives new process groups,
#: sessions, dead parents and stale pid files, and no pid that was given to somebody else can have it.
MARK = "AIPROD_LOCAL_AIRFLOW"

Find = Callable[[], list[psutil.Process]]


class ProcessesLeft(RuntimeError):
    """Processes that even SIGKILL did not end; the message lists them."""


def marked(home: Path) -> list[psutil.Process]:
    """Return the running processes that belong to the instance in `home`, zombies and this process excepted."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARK) == str(home) and _runs(process):
                found.append(process)
    return found


def end(find: Find, *, grace: float) -> None:
    """End what `find` finds: SIGTERM to all, `grace` seconds, then SIGKILL until none is left.

    Raises `ProcessesLeft` when something survives that for ten seconds.
    """
    for process in find():
        with suppress(psutil.Error):
            process.terminate()
    if _gone(find, within=grace):
        return
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        # Asked again each round: what was just killed may have forked a moment before.
        for process in find():
            with suppress(psutil.Error):
                process.kill()
        if _gone(find, within=0.5):
            return
    left = ", ".join(f"{process.pid} {process.name()}" for process in find())
    if left:
        raise ProcessesLeft(f"still running after SIGKILL: {left}")


def _gone(find: Find, *, within: float) -> bool:
    deadline = time.monotonic() + within
    while find():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True


def _runs(process: psutil.Process) -> bool:
    return bool(process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD))
