"""A job followed on the screen: a table that moves on a terminal, a line per news elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

import typer
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aiprod.cli.screen import console, line, show_json
from aiprod.cli.telling import next_step, tell_end
from aiprod.cli.troubles import DONE, REFUSED, WAITS, plain
from aiprod.models import JobStatus, dollars
from aiprod.views import JobView, ShotView

__all__ = ["follow"]

#: Nobody waits for more than this word, although a run may still be tidying up. A failure may yet be tried again.
_SETTLED = (JobStatus.DELIVERED, JobStatus.REJECTED, JobStatus.CANCELLED, JobStatus.EXPIRED)
#: As wide as a shot's bar is.
_BAR = 24


def follow(job_id: str, views: Iterable[JobView], *, stay: bool, as_json: bool) -> int:
    """Show every news of a job until its end is known, or, without `stay`, until a person is asked; return the exit code.

    An interrupt ends the watching and nothing else, and says how to come back.
    """
    last: JobView | None = None
    try:
        for view in _shown(_until_asked(views, stay=stay), quiet=as_json):
            last = view
    except KeyboardInterrupt:
        print(f"\naiprod: {job_id} goes on without you; `aiprod watch {job_id}` comes back to it", file=sys.stderr)
        raise typer.Exit(130) from None
    if last is None:
        return REFUSED
    show_json(last.model_dump(mode="json")) if as_json else tell_end(last)
    return code_of(last)


def code_of(view: JobView) -> int:
    """Return what a watch of this job ends with."""
    if view.status == JobStatus.DELIVERED:
        return DONE
    return WAITS if view.needs_you else REFUSED


def _until_asked(views: Iterable[JobView], *, stay: bool) -> Iterator[JobView]:
    for view in views:
        yield view
        if view.status in _SETTLED or (view.needs_you and not stay):
            return


def _shown(views: Iterable[JobView], *, quiet: bool) -> Iterator[JobView]:
    if quiet:
        yield from views
    elif sys.stdout.isatty():
        # Transient: the summary that follows says the same and stays.
        with Live(console=console(), refresh_per_second=8, transient=True) as live:
            for view in views:
                live.update(_picture(view))
                yield view
    else:
        yield from _told(views)


def _told(views: Iterable[JobView]) -> Iterator[JobView]:
    """Print what is new, a line each: the status, and every shot that changed more than its progress."""
    known: dict[int, str] = {}
    status = ""
    for view in views:
        if view.status != status:
            status = view.status
            line(f"{view.job_id}: {status.replace('_', ' ')}, version {view.version}")
            for told in next_step(view) if view.needs_you else []:
                line(told)
        for shot in view.shots:
            news = _news(shot)
            if known.get(shot.shot) != news:
                known[shot.shot] = news
                line(f"  shot {shot.shot}: {news}")
        sys.stdout.flush()
        yield view


def _news(shot: ShotView) -> str:
    if not shot.attempts:
        return shot.status.replace("_", " ")
    last = shot.attempts[-1]
    money = f", charged {dollars(last.charged)}" if last.charged is not None else ""
    why = f": {last.message or last.failure}" if last.failure else ""
    return f"{shot.status.replace('_', ' ')}, attempt {len(shot.attempts)} at {last.backend} {last.state}{money}{why}"


def _picture(view: JobView) -> Table:
    """A job as a terminal shows it while it moves."""
    whole = Table.grid(padding=(0, 2))
    title = (
        f"{view.job_id}  {view.status.replace('_', ' ')}  charged {dollars(view.costs.charged)}, held {dollars(view.costs.held)}"
    )
    shots = Table.grid(padding=(0, 2))
    for shot in view.shots:
        done = 1.0 if shot.status in ("accepted", "reused") else shot.progress
        bar = ProgressBar(total=1.0, completed=done or 0.0, width=_BAR, pulse=done is None and shot.status == "rendering")
        last = shot.attempts[-1] if shot.attempts else None
        where = f"{last.backend} {last.model}" if last else ""
        shots.add_row(Text(f"shot {shot.shot}"), bar, Text(shot.status.replace("_", " ")), Text(plain(where)))
    whole.add_row(Text(plain(title), style="bold"))
    whole.add_row(shots)
    for told in next_step(view):
        whole.add_row(Text(plain(told)))
    return whole
