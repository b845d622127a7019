"""The tasks of one run in a terminal: redrawn in place where that works, else one line per change."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

#: A state as people read it. Tasks nobody got to are not shown.
WORDS = {
    "success": "done",
    "failed": "failed",
    "upstream_failed": "not reached",
    "running": "running",
    "deferred": "waiting for the backend",
    "awaiting_input": "waiting for a person",
    "up_for_retry": "will be tried again",
    "queued": "next",
    "scheduled": "next",
    "restarting": "restarting",
}
SIGNS = {"success": "✓", "failed": "✗", "upstream_failed": "·", "running": "▸", "deferred": "◷", "awaiting_input": "?"}


class Progress:
    """Shows what `task_instances` says, in the order of the run."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._live = out, out.isatty()
        self._drawn = 0
        self._said: dict[str, str] = {}
        self._started = time.monotonic()

    def show(self, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Bring the terminal up to date."""
        shown = [task for task in sorted(tasks, key=_order) if task["state"] in WORDS]
        if self._live:
            self._redraw([_line(task) for task in shown])
            return
        for task in shown:
            if self._said.get(task["task_id"]) != task["state"]:
                self._said[task["task_id"]] = task["state"]
                if WORDS[task["state"]] != "next":
                    print(f"{time.monotonic() - self._started:5.0f} s {_line(task)}", file=self._out, flush=True)

    def _redraw(self, lines: Sequence[str]) -> None:
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        body = "".join(f"\x1b[2K{line}\n" for line in lines)
        # A task that was cleared leaves fewer lines than before.
        self._out.write(f"{up}{body}\x1b[J")
        self._out.flush()
        self._drawn = len(lines)


def _order(task: Mapping[str, Any]) -> tuple[bool, str]:
    return (task.get("start_date") is None, str(task.get("start_date") or ""))


def _line(task: Mapping[str, Any]) -> str:
    seconds = task.get("duration")
    took = f"{seconds:6.1f} s" if seconds and task["state"] in ("success", "failed") else ""
    return f"  {SIGNS.get(task['state'], ' ')} {task['task_id']:<22} {WORDS[task['state']]:<24}{took}".rstrip()
