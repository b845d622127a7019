"""`aiprod approve|reject`: a person's word on the money, or on the finished video, as that person saw it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from aiprod.cli.amounts import typed_usd
from aiprod.cli.commands import subject
from aiprod.cli.screen import Json, line, show_json
from aiprod.cli.server import Job, client
from aiprod.cli.telling import next_step
from aiprod.errors import JobFailed, SpecError
from aiprod.models import Micros, dollars, micros
from aiprod.views import JobView

__all__ = ["app"]

app = subject()

Version = Annotated[int | None, typer.Option(min=1, metavar="N", help="The version you saw.")]
Amount = Annotated[str | None, typer.Option(metavar="DOLLARS", help="The amount you saw.")]
Cut = Annotated[str | None, typer.Option(metavar="SHA256", help="The finished video you saw, by its SHA-256.")]
Yes = Annotated[bool, typer.Option("--yes", help="Whatever is asked now, without showing it first.")]


@dataclass(frozen=True)
class _Seen:
    """What the answer is about, as it was seen."""

    version: int
    amount: Micros | None = None
    cut_sha: str | None = None

    def __str__(self) -> str:
        return (
            f"{dollars(self.amount)} for version {self.version}"
            if self.amount is not None
            else f"video of version {self.version}"
        )


@app.command("approve", epilog="Example: aiprod approve lighthouse-1 --version 1 --amount 3.10")
def _approve(
    context: typer.Context,
    *,
    job_id: Job,
    version: Version = None,
    amount: Amount = None,
    cut: Cut = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Allow the money that is asked for, or the finished video.

    The answer names what you saw: on a terminal it is shown and you are asked; a script says --version with --amount or
    --cut, as `aiprod job JOB --json` told it, or --yes. What changed meanwhile is refused, and nothing is spent.
    """
    with client(context) as aiprod:
        seen = _given(version, amount, cut) or _asked(aiprod.job(job_id), "approve", yes=yes)
        view = aiprod.approve(job_id, version=seen.version, amount=seen.amount, cut_sha=seen.cut_sha)
    if as_json:
        return show_json(view.model_dump(mode="json"))
    return line(f"approved: {seen} of {job_id}; `aiprod watch {job_id}` follows it")


@app.command("reject", epilog="Example: aiprod reject lighthouse-1 --yes --why 'too dear'")
def _reject(
    context: typer.Context,
    *,
    job_id: Job,
    version: Version = None,
    amount: Amount = None,
    cut: Cut = None,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="For whoever ordered it.")] = "",
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Refuse the money that is asked for, or the finished video. What is named, and how, as for `aiprod approve`."""
    with client(context) as aiprod:
        seen = _given(version, amount, cut) or _asked(aiprod.job(job_id), "reject", yes=yes)
        view = aiprod.reject(job_id, version=seen.version, amount=seen.amount, cut_sha=seen.cut_sha, why=why)
    if as_json:
        return show_json(view.model_dump(mode="json"))
    return line(f"rejected: {seen} of {job_id}")


def _given(version: int | None, amount: str | None, cut: str | None) -> _Seen | None:
    """What a script says it saw; None when it says nothing."""
    if version is None and amount is None and cut is None:
        return None
    if version is None or (amount is None) == (cut is None):
        raise SpecError(["say what you saw: --version with --amount, or --version with --cut"])
    return _Seen(version, None if amount is None else micros(typed_usd(amount)), cut)


def _asked(view: JobView, verb: Literal["approve", "reject"], *, yes: bool) -> _Seen:
    """What the job asks now; on a terminal it is shown, and the person has to say yes."""
    if view.approval is not None:
        seen = _Seen(view.approval.version, amount=view.approval.amount)
    elif view.review is not None:
        seen = _Seen(view.review.version, cut_sha=view.review.cut_sha)
    else:
        raise JobFailed(f"{view.job_id} is {str(view.status).replace('_', ' ')}: nobody is asked anything")
    if yes:
        return seen
    if not sys.stdin.isatty():
        raise SpecError([f"say what you saw (--version with --amount or --cut), or --yes: {verb} {seen}?"])
    for told in next_step(view)[:1]:
        print(told, file=sys.stderr)
    typer.confirm(f"{verb} {seen}?", abort=True, err=True)
    return seen
