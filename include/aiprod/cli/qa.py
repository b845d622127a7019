"""`aiprod qa`: a video file measured as a take would be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aiprod.catalog import catalog
from aiprod.cli.commands import subject
from aiprod.cli.screen import Json, line, show_json, table
from aiprod.errors import SpecError
from aiprod.models import Finding, QAReport
from aiprod.qa import Expected, measure_apart, report

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
    known = catalog()
    if preset not in known.presets:
        raise SpecError([f"--preset {preset}: no such preset; known: {', '.join(known.presets)}"])
    if not file.is_file():
        raise SpecError([f"{file}: {'is no file' if file.exists() else 'No such file or directory'}"])
    measured = measure_apart(file)
    as_it_is = Expected(
        seconds=measured.seconds,
        fps=measured.fps or measured.mean_fps or 1.0,
        width=measured.width,
        height=measured.height,
        audio=measured.has_audio,
    )
    thresholds = known.quality.of(preset)
    found = report(file.name, measured, as_it_is, thresholds, semantic_status="unscored")
    ships = not found.vetoed and found.technical >= thresholds.technical_floor
    if as_json:
        show_json({"file": str(file), "preset": preset, "ships": ships, **found.model_dump(mode="json", exclude={"take_id"})})
    else:
        _say(file, found, ships=ships)
    return 0 if ships else 1


def _say(file: Path, found: QAReport, *, ships: bool) -> None:
    line(f"{file}: technical {found.technical:.2f}, {'may ship' if ships else 'could never ship'}")
    if found.findings:
        table(("weight", "what", "when", "evidence"), [_row(finding) for finding in found.findings])
    else:
        line("nothing is wrong with it")


def _row(finding: Finding) -> tuple[str, ...]:
    when = ", ".join(f"{start:g}-{end:g} s" for start, end in finding.when[:3]) or "all of it"
    return (finding.severity, finding.code, when, finding.evidence)
