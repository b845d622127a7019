"""`aiprod jobs|job|cancel|download`: how jobs stand, stopping one, and fetching its files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from aiprod.cli.screen import Json, line, show_json, table
from aiprod.cli.person import By
from aiprod.cli.server import Job, Local, asked, client, here
from aiprod.cli.telling import tell
from aiprod.models import JobStatus, dollars
from aiprod.views import JobPage, JobRow, JobView

__all__ = ["app"]

app = typer.Typer()

_COLUMNS = ("job", "status", "preset", "seconds", "charged", "quality", "ordered (UTC)", "by", "title")


@app.command("jobs", epilog="Example: aiprod jobs --status waiting_approval --status final_approval")
def _jobs(
    context: typer.Context,
    *,
    status: Annotated[list[JobStatus] | None, typer.Option(help="Only these; may be said again.")] = None,
    project: Annotated[str | None, typer.Option(metavar="NAME", help="Only this project's.")] = None,
    preset: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this preset.")] = None,
    campaign: Annotated[str | None, typer.Option(metavar="NAME", help="Only this campaign's.")] = None,
    created_by: Annotated[str | None, typer.Option("--by", metavar="WHO", help="Only who ordered them.")] = None,
    text: Annotated[str, typer.Option("--text", metavar="WORDS", help="Only with these words in their id or prompt.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, metavar="N", help="How many.")] = 50,
    before: Annotated[str | None, typer.Option(metavar="MARK", help="The next page: what the page before said.")] = None,
    local: Local = False,
    as_json: Json = False,
) -> None:
    """List jobs, the newest first."""
    if local or not asked(context):
        page = here().listing(
            statuses=status or (), project=project, preset=preset, campaign=campaign, created_by=created_by, text=text,
            limit=limit, before=before,
        )  # fmt: skip
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
    return (row.job_id, status, row.preset, f"{row.seconds:g}", dollars(row.charged), quality, ordered, row.created_by or "-", row.title)


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


@app.command("cancel", epilog="Example: aiprod cancel lighthouse-1")
def _cancel(context: typer.Context, *, job_id: Job, by: By, local: Local = False, as_json: Json = False) -> None:
    """Hold and send nothing more for a job, and ask its vendors to stop. What they do not stop is still billed and kept.

    Over the API the run's open question is answered too, and who asks is who is logged in; on the ledger alone (--local, or
    no server named) it is --by, and a run that waits for a person goes on waiting in Airflow.
    """
    if local or not asked(context):
        lines = _cancel_here(job_id, by=by)
        costs = here().costs_of_job(job_id)
    else:
        with client(context) as aiprod:
            aiprod.cancel(job_id)
            lines, costs = [f"{job_id} is cancelled: nothing more is held or sent for it"], aiprod.costs(job_id)
    sent = [p for p in costs.purchases if p.state in ("submitting", "submitted", "unknown")]
    if as_json:
        return show_json({"job_id": job_id, "not_stopped": [p.model_dump(mode="json") for p in sent]})
    for told in lines:
        line(told)
    if sent:
        money = dollars(sum(p.hold for p in sent))
        line(f"not stopped: {len(sent)} renders already sent, up to {money}; they are still billed, watched and kept")
    return None


def _cancel_here(job_id: str, *, by: str) -> list[str]:
    done = here().cancel(job_id, by=by)
    lines = [f"{job_id} is cancelled{'' if done.fresh else ' since before'}: nothing more is held or sent for it"]
    if done.holds:
        lines.append(f"{done.holds} holds of {dollars(done.money)} were not sent and are given back")
    return [*lines, *done.renders]


@app.command("download", epilog="Example: aiprod download lighthouse-1 --to lighthouse.mp4")
def _download(
    context: typer.Context,
    *,
    job_id: Job,
    what: Annotated[
        Literal["video", "poster", "contact-sheet"], typer.Option(help="Which of its files.")
    ] = "video",
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
