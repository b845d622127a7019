"""`aiprod submit|watch`: an order goes to a running AIPROD, and is followed to its end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from aiprod.cli.commands import subject
from aiprod.cli.files import order_in
from aiprod.cli.screen import Json, line, show_json
from aiprod.cli.server import Job, client
from aiprod.cli.telling import next_step
from aiprod.cli.troubles import DONE
from aiprod.cli.watching import follow
from aiprod.models import dollars

__all__ = ["app"]

app = subject()

Stay = Annotated[
    bool | None,
    typer.Option(
        "--stay/--no-stay",
        show_default=False,
        help="Go on watching while a person is asked, or end with 4 then (default: stay on a terminal).",
    ),
]


def _stays(stay: bool | None) -> bool:
    return sys.stdout.isatty() if stay is None else stay


@app.command("submit", epilog="Example: aiprod submit examples/jobs/lighthouse.yaml --watch")
def _submit(
    context: typer.Context,
    *,
    order: Annotated[Path, typer.Argument(metavar="ORDER", help="A YAML or JSON file with the fields of the trigger form.")],
    job_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Its name, instead of the file's. The same id and order is the same job.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Stay until it is delivered, and say what came of it.")] = False,
    stay: Stay = None,
    as_json: Json = False,
) -> int:
    """Order a video. It is priced, its run is started, and money moves only once it is approved.

    The same order under the same id is entered once, however often it is submitted. With --watch the command ends with 0 when
    the video is delivered, 1 when it never will be, and 4 when it waits for a person and nobody stays.
    """
    raw = order_in(order)
    with client(context) as aiprod:
        created = aiprod.create(raw | ({"job_id": job_id} if job_id else {}))
        name = created.job.job_id
        if watch:
            if not as_json:
                line(f"{name} {'entered' if created.fresh else 'was entered before'}")
            return follow(name, aiprod.watch(name), stay=_stays(stay), as_json=as_json)
    if as_json:
        show_json({"fresh": created.fresh, **created.job.model_dump(mode="json")})
        return DONE
    costs = created.job.costs
    line(f"{name} {'entered' if created.fresh else 'was entered before'}: {str(created.job.status).replace('_', ' ')}")
    line(f"expected {dollars(costs.expected)}, worst case {dollars(costs.worst_case)}")
    for told in next_step(created.job) or [f"  aiprod watch {name}"]:
        line(told)
    return DONE


@app.command("watch", epilog="Example: aiprod watch lighthouse-1")
def _watch(context: typer.Context, *, job_id: Job, stay: Stay = None, as_json: Json = False) -> int:
    """Follow a job until nothing can change any more.

    Ends as `aiprod submit --watch` does; an interrupt stops only the watching.
    """
    with client(context) as aiprod:
        return follow(job_id, aiprod.watch(job_id), stay=_stays(stay), as_json=as_json)
