"""`aiprod doctor`: whether money, files and every backend are ready, without spending."""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from aiprod import settings
from aiprod.catalog import catalog
from aiprod.cli.commands import subject
from aiprod.cli.screen import Json, line, show_json
from aiprod.errors import AiprodError, ConfigError
from aiprod.examining import Examined, examine, examine_judge
from aiprod.ledger import DatabaseError, gates, open_ledger
from aiprod.ledger.engine import now as database_now
from aiprod.storage import Storage

__all__ = ["app"]

app = subject()


@app.command("doctor", epilog="Example: aiprod doctor runway veo3")
def _doctor(
    *,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[BACKEND]...", help="Only these (default: all the catalogue knows).")
    ] = None,
    as_json: Json = False,
) -> int:
    """Is everything ready to buy: ledger, storage, every backend, the judge. Spends nothing; ends with 1 when not."""
    known = catalog()
    asked = names or list(known.backend_order)
    strangers = [name for name in asked if name not in known.backends]
    if strangers:
        raise ConfigError(f"unknown backend {strangers[0]!r}; known: {', '.join(known.backend_order)}")
    ledger_trouble, today = _ledger()
    storage_trouble = _storage()
    examined = [examine(known, name, today=today) for name in asked] if today else []
    judge = examine_judge(known, today=today) if today else None
    if as_json:
        show_json({"ledger": ledger_trouble or "ready", "storage": storage_trouble or "ready",
                   "dry_run": settings.dry_run(), "backends": [e.model_dump() for e in examined],
                   "judge": judge.model_dump() if judge else None})  # fmt: skip
    else:
        line(f"ledger     {ledger_trouble or 'ready, purchasing is open'}")
        line(f"storage    {storage_trouble or 'ready'}")
        if settings.dry_run():
            line("dry run    AIPROD_DRY_RUN is set: nothing is sent to any vendor")
        for found in examined:
            _print(found)
        _print_judge(judge)
    troubled = any(e.troubles for e in (*examined, *([judge] if judge else [])))
    return 1 if ledger_trouble or storage_trouble or troubled else 0


def _ledger() -> tuple[str, date | None]:
    """Return what is wrong with the ledger, empty when nothing is, and the day it has."""
    try:
        with open_ledger().read() as conn:
            today = database_now(conn).astimezone(catalog().zone).date()
            switch = gates.switch(conn)
    except (AiprodError, DatabaseError) as error:
        return " ".join(str(error).split()), None
    return f"purchasing is stopped by {switch.by}: {switch.why}" if switch else "", today


def _storage() -> str:
    """Empty when a file can be kept, else why not."""
    try:
        with tempfile.TemporaryDirectory(prefix="aiprod-") as folder:
            probe = Path(folder) / "probe"
            probe.write_text("aiprod doctor\n")
            Storage.at(settings.storage_url()).keep(probe, ".doctor/probe")
    except AiprodError as error:
        return " ".join(str(error).split())
    return ""


def _print(found: Examined) -> None:
    if found.missing:
        line(f"{found.backend:<10} {found.missing}")
    elif found.left == "no cost":
        line(f"{found.backend:<10} ready: needs no key, costs nothing")
    else:
        said = [f"reachable: {found.reachable}", f"key accepted: {found.authenticated}", found.left]
        line(f"{found.backend:<10} {'; '.join(part for part in said if part)}")
    for told in (*found.troubles, *found.notes):
        line(f"{'':<10} {told}")


def _print_judge(found: Examined | None) -> None:
    """Nobody asks it: every answer of a judge is paid."""
    if found is None:
        return line("judge      none is in force: takes are measured, and not judged")
    ready = f"{found.backend} is configured; not asked, for every answer of it is paid"
    line(f"judge      {found.missing or ready}")
    for told in (*found.troubles, *found.notes):
        line(f"{'':<10} {told}")
    return None
