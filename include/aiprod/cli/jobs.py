"""`aiprod jobs|job|download`: how jobs stand, and their files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from aiprod.cli.commands import subject
from aiprod.cli.screen import Json, line, show_json, table
from aiprod.cli.server import Job, Local, asked, client, here
from aiprod.cli.telling import tell
from aiprod.models import JobFilter, JobStatus, dollars
from aiprod.views import JobPage, JobRow, JobView

__all__ = ["app"]

app = subject()

_COLUMNS = ("job", "status", "preset", "seconds", "charged", "quality", "ordered (UTC)", "by", "title")


@app.command("jobs", epilog="Example: aiprod jobs --status waiting_approval --status final_approval")
def _jobs(
    context: typer.Context,
    *,
    status: Annotated[list[JobStatus] | None, typer.Option(metavar="STATUS", help="Only these; may be said again.")] = None,
    project: Annotated[str | None, typer.Option(metavar="NAME", help="Only this project's.")] = None,
    preset: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this preset.")] = None,
    campaign: Annotated[str | None, typer.Option(metavar="NAME", help="Only this campaign's.")] = None,
    created_by: Annotated[str | None, typer.Option("--by", metavar="WHO", help="Only who ordered them.")] = None,
    text: Annotated[str, typer.Option("--text", metavar="WORDS", help="Only with these words in their id or prompt.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200, metavar="N", help="How many.")] = 50,
    before: Annotated[str | None, typer.Option(metavar="MARK", help="The next page: what the page before said.")] = None,
    local: Local = False,
    as_json: Json = False,
) -> None:
    """List jobs, the newest first."""
    if local or not asked(context):
        wanted = JobFilter(
            statuses=tuple(status or ()), project=project, preset=preset, campaign=campaign, created_by=created_by, text=text
        )
        page = here().listing(wanted, limit=limit, before=before)
    else:
        with client(context) as aiprod:
            page = aiprod.jobs(
                status=status or (), project=project, preset=preset, campaign=campaign, created_by=created_by, text=text,
                limit=limit, before=before,
            )  # fmt: skip
    return show_json(page.model_dump(mode="json")) if as_json else _page(page)


def _page(page: JobPage) -> None:
    if not page.jobs:
        return line("no such job")
    table(_COLUMNS, [_row(row) for row in page.jobs], right=("seconds", "charged", "quality"))
    waiting = sum(row.needs_you for row in page.jobs)
    if waiting:
        line(f"{waiting} wait for a person (*): `aiprod approve JOB`, `aiprod reject JOB`")
    if page.next:
        line(f"there are more: aiprod jobs --before {page.next}")
    return None


def _row(row: JobRow) -> tuple[str, ...]:
    quality = "-" if row.quality is None else f"{row.quality:.2f}"
    status = f"{row.status}{' *' if row.needs_you else ''}"
    ordered = f"{row.created_at:%Y-%m-%d %H:%M}"
    return (
        row.job_id,
        status,
        row.preset,
        f"{row.seconds:g}",
        dollars(row.charged),
        quality,
        ordered,
        row.created_by or "-",
        row.title,
    )


@app.command("job", epilog="Example: aiprod job lighthouse-1 --json")
def _job(context: typer.Context, *, job_id: Job, local: Local = False, as_json: Json = False) -> None:
    """Show one job: state, shots, attempts, money, and what it waits for."""
    view = _view(context, job_id, local=local)
    return show_json(view.model_dump(mode="json")) if as_json else tell(view)


def _view(context: typer.Context, job_id: str, *, local: bool) -> JobView:
    if local or not asked(context):
        return here().view(job_id)
    with client(context) as aiprod:
        return aiprod.job(job_id)


@app.command("download", epilog="Example: aiprod download lighthouse-1 --to lighthouse.mp4")
def _download(
    context: typer.Context,
    *,
    job_id: Job,
    what: Annotated[Literal["video", "poster", "contact-sheet"], typer.Option(help="video, poster or contact-sheet.")] = "video",
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="Under which name (default: the job's id, here).")] = None,
    version: Annotated[int | None, typer.Option(min=1, metavar="N", help="Of this version (default: the newest).")] = None,
    as_json: Json = False,
) -> None:
    """Fetch the finished video, its poster or contact sheet: whole, checked, and never over another file."""
    with client(context) as aiprod:
        file = to or Path(f"{job_id}{'' if what == 'video' else f'-{what}'}{_suffix(aiprod.job(job_id), what)}")
        fetched = aiprod.download(job_id, file, what=what, version=version)
    if as_json:
        return show_json(fetched.model_dump(mode="json"))
    return line(f"{fetched.file}: {fetched.size:,} bytes, SHA-256 {fetched.sha256}")


def _suffix(view: JobView, what: str) -> str:
    """How the name of a job's file ends: what a player goes by."""
    made = view.delivery or view.review
    stored = getattr(made, what.replace("-", "_"), None)
    return Path(stored.path).suffix if stored is not None else ".mp4" if what == "video" else ".jpg"
