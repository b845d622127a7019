"""How much memory an Airflow's processes need, looked at from outside."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tools import processes

__all__ = ["COMPONENTS", "Sampler", "component_kb", "tree_mb"]

#: What lives as long as its Airflow; tasks come and go.
COMPONENTS = ("scheduler", "api-server", "triggerer")


def component_kb(home: Path, name: str) -> float:
    """Resident kilobytes of a component; of the scheduler without the workers that it forks, which carry tasks."""
    found = [p for p in processes.marked(home) if _writes(p) == str(home / "logs" / f"{name}.log")]
    pids = {process.pid for process in found}
    first = [process for process in found if _parent(process) not in pids]
    family = first if name == "scheduler" else [*first, *(child for one in first for child in _children(one))]
    total = 0.0
    for process in family:
        with suppress(psutil.Error):
            total += process.memory_info().rss / 1e3
    return total


def tree_mb(home: Path) -> float:
    """Proportional megabytes of every process of an Airflow: what forks share is counted once."""
    total = 0.0
    for process in processes.marked(home):
        with suppress(psutil.Error, OSError):
            total += process.memory_full_info().pss / 1e6
    return total


class Sampler:
    """Asks something every few seconds, in a thread. `with Sampler(ask, every=5) as seen: …`"""

    def __init__(self, ask: Callable[[], float], *, every: float) -> None:
        self.values: list[float] = []
        self._ask, self._every = ask, every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            self.values.append(self._ask())
            self._over.wait(max(0.0, self._every - (time.monotonic() - began)))


def _writes(process: psutil.Process) -> str:
    with suppress(OSError):
        return os.readlink(f"/proc/{process.pid}/fd/1")
    return ""


def _children(process: psutil.Process) -> list[psutil.Process]:
    """A triggerer runs its triggers in a child whose output is a pipe."""
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []


def _parent(process: psutil.Process) -> int:
    try:
        return int(process.ppid())
    except psutil.Error:
        return 0
