"""`aiprod qa`: a video file measured as a take would be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from aiprod.cli.commands import subject
from aiprod.cli.screen import Json, line, show_json, table
from aiprod.qa import examine_file

__all__ = ["app"]

app = subject()


@app.command("qa", epilog="Example: aiprod qa take.mp4 --preset brand_campaign")
def _qa(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A video file.")],
    preset: Annotated[str, typer.Option(metavar="NAME", help="Whose thresholds it is held to.")] = "quick_social",
    as_json: Json = False,
) -> int:
    """Measure a video file as a take would be, and say what is wrong with it; ends with 1 when it could never ship.

    Nothing was ordered, so nothing is compared with an order: length, size and sound are taken as they are.
    """
    found = examine_file(file, preset)
    if as_json:
        show_json(found)
    else:
        line(f"{file}: technical {found['technical']:.2f}, {'may ship' if found['passes'] else 'could never ship'}")
        if found["findings"]:
            table(("weight", "what", "when", "evidence"), [_row(finding) for finding in found["findings"]])
        else:
            line("nothing is wrong with it")
    return 0 if found["passes"] else 1


def _row(finding: dict[str, Any]) -> tuple[str, ...]:
    when = ", ".join(f"{start:g}-{end:g} s" for start, end in finding["when"][:3]) or "all of it"
    return (finding["severity"], finding["code"], when, finding["evidence"])
