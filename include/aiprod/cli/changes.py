"""`aiprod edit|redo`: another shot list before money is approved, and shots made again afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from aiprod.cli.commands import subject
from aiprod.cli.files import order_in
from aiprod.cli.screen import Json, line, show_json
from aiprod.cli.server import Job, client
from aiprod.cli.telling import next_step
from aiprod.errors import SpecError
from aiprod.models import Manifest, dollars
from aiprod.views import JobView

__all__ = ["app"]

app = subject()

Version = Annotated[int | None, typer.Option(min=1, metavar="N", help="The version it is made from (default: the newest).")]


@app.command("edit", epilog="Example: aiprod edit lighthouse-1 > shots.yaml; aiprod edit lighthouse-1 shots.yaml")
def _edit(
    context: typer.Context,
    *,
    job_id: Job,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="The shot list as it shall be.")] = None,
    version: Version = None,
    as_json: Json = False,
) -> None:
    """Change the shot list before the money is approved; without FILE, print it as a file to change.

    The file holds `shots`, each with prompt, seconds and perhaps camera, reference_image_url and seed, and perhaps
    `audio_style`, `aspect_ratio`, `audio` and `base_version`. The new version is priced at once and has to be approved.
    """
    with client(context) as aiprod:
        if file is None:
            shots = _as_file(aiprod.manifest(job_id, version=version))
            return show_json(shots) if as_json else print(yaml.safe_dump(shots, sort_keys=False, allow_unicode=True), end="")
        change = order_in(file)
        base = version or change.pop("base_version", None) or aiprod.job(job_id).version
        change.pop("base_version", None)
        made = aiprod.edit(job_id, change, base_version=base)
    if as_json:
        return show_json(made.model_dump(mode="json"))
    for told in made.changes:
        line(told)
    costs = f"expected {dollars(made.estimate.expected)}, worst case {dollars(made.estimate.worst_case)}"
    return line(f"{job_id} is at version {made.version}: {costs}; it has to be approved: `aiprod approve {job_id}`")


def _as_file(manifest: Manifest) -> dict[str, Any]:
    """A manifest as `aiprod edit` takes it back."""
    fields = manifest.model_dump(mode="json", exclude_none=True, include={"aspect_ratio", "audio", "audio_style"})
    shots = [shot.model_dump(mode="json", exclude_none=True, exclude={"index"}) for shot in manifest.shots]
    return {"base_version": manifest.version, **fields, "shots": shots}


@app.command("redo", epilog="Example: aiprod redo lighthouse-1 --shot 2 --changes second-shot.yaml")
def _redo(
    context: typer.Context,
    *,
    job_id: Job,
    shot: Annotated[list[int], typer.Option("--shot", min=1, metavar="N", help="Which shot; may be said again.")],
    changes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Shots as they shall be, by number: `2: {prompt: …, seconds: 5}`.")
    ] = None,
    version: Version = None,
    as_json: Json = False,
) -> None:
    """Make named shots of a finished job again, in a new version. The others are used again at no cost."""
    changed = {} if changes is None else order_in(changes)
    wrong = [name for name, spec in changed.items() if not str(name).isdecimal() or not isinstance(spec, dict)]
    if wrong:
        raise SpecError([f"{changes}: {wrong[0]}: must be a shot's number with its fields, such as `2: {{prompt: a lake}}`"])
    with client(context) as aiprod:
        base = version or aiprod.job(job_id).version
        view = aiprod.redo(job_id, shots=shot, base_version=base, changes={int(n): spec for n, spec in changed.items()})
    return show_json(view.model_dump(mode="json")) if as_json else _said(view)


def _said(view: JobView) -> None:
    """What the new version is, costs and needs."""
    for change in view.versions[-1].changes if view.versions else ():
        line(change)
    saved = f", {dollars(view.costs.saved)} saved" if view.costs.saved else ""
    costs = f"expected {dollars(view.costs.expected)}, worst case {dollars(view.costs.worst_case)}{saved}"
    line(f"{view.job_id} is at version {view.version}: {costs}")
    for told in next_step(view) or [f"  aiprod watch {view.job_id}"]:
        line(told)
