"""What a person sees of a run while it goes."""

from __future__ import annotations

import io
from typing import Any

from tools.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def task(task_id: str, state: str | None, start: str | None = "2026-11-23T10:00:00Z") -> dict[str, Any]:
    return {"task_id": task_id, "state": state, "start_date": start, "duration": 1.5}


def test_a_log_file_gets_one_line_per_change():
    out = io.StringIO()
    progress = Progress(out)
    for state in ("running", "running", "success", "success"):
        progress.show([task("estimate", state)])
    lines = out.getvalue().splitlines()
    assert ["running" in lines[0], "done" in lines[1], len(lines)] == [True, True, 2]


def test_tasks_that_were_skipped_or_not_reached_yet_are_not_shown():
    out = Terminal()
    Progress(out).show([task("runway", "skipped"), task("later", None), task("estimate", "success")])
    assert "runway" not in out.getvalue() and "later" not in out.getvalue() and "estimate" in out.getvalue()


def test_a_terminal_is_drawn_over_in_place():
    out = Terminal()
    progress = Progress(out)
    progress.show([task("estimate", "success"), task("approve", "running", "2026-11-23T10:00:05Z")])
    progress.show([task("estimate", "success"), task("approve", "success", "2026-11-23T10:00:05Z")])
    assert out.getvalue().count("\x1b[2A") == 1


def test_tasks_stand_in_the_order_in_which_they_started():
    out = Terminal()
    Progress(out).show([task("b", "running", "2026-11-23T10:00:05Z"), task("a", "success"), task("c", "queued", None)])
    text = out.getvalue()
    assert text.index(" a ") < text.index(" b ") < text.index(" c ")
