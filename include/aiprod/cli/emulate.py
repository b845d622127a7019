"""`aiprod emulate`: the paid vendors as local servers, for who has no keys or does not want to pay."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from aiprod.cli.commands import subject
from aiprod.cli.screen import Json

__all__ = ["app"]

app = subject()


@app.command("emulate", epilog="Example: aiprod emulate --rule runway=fail --seconds-per-render 3")
def _emulate(
    *,
    port: Annotated[int, typer.Option(help="0: any free one.")] = 8911,
    folder: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Where films, the key file and the books are kept (default: a temporary one)."),
    ] = None,
    books: Annotated[
        str | None, typer.Option(metavar="FILE", help="What was accepted, and every fault (default: in the folder).")
    ] = None,
    rule: Annotated[list[str] | None, typer.Option(metavar="BACKEND=WORDS", help="What goes wrong.")] = None,
    price: Annotated[list[str] | None, typer.Option(metavar="BACKEND[/MODEL]=USD", help="Per second.")] = None,
    key: Annotated[list[str] | None, typer.Option(metavar="BACKEND=KEY", help="What a vendor wants as its key.")] = None,
    seconds_per_render: Annotated[float, typer.Option(metavar="S", help="How long a render takes.")] = 0.0,
    monitoring: Annotated[
        int | None, typer.Option(metavar="PORT", help="Serve Google Cloud Monitoring there, too; 0: any free one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Serve Runway, Veo on Vertex with its bucket, and Replicate on one port of loopback until stopped.

    Prints what to export so that jobs are bought there. What goes wrong is ordered in a prompt, `[[runway=fail]]`, or here
    for every request: `--rule runway=fail`. The words are listed in aiprod.emulators.orders.
    """
    given = [f"--port={port}", f"--seconds-per-render={seconds_per_render}"]
    plain = (("folder", folder), ("books", books), ("monitoring", monitoring))
    given += [f"--{name}={value}" for name, value in plain if value is not None]
    # Options that are handed on as they came. What they mean is the emulators' business.
    repeated = (("rule", rule), ("price", price), ("key", key))
    given += [f"--{name}={value}" for name, values in repeated for value in values or ()]
    given += ["--json"] if as_json else []
    sys.stdout.flush()
    # Become the emulators: this library and they share nothing, not even a process. No shell, and no words but the caller's.
    os.execv(sys.executable, [sys.executable, "-m", "aiprod.emulators", *given])  # noqa: S606
