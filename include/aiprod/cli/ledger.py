"""`aiprod ledger`: the money ledger's database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aiprod.catalog import catalog
from aiprod.cli.commands import subject
from aiprod.cli.person import By
from aiprod.cli.screen import Json, line, show_json
from aiprod.ledger import Ledger, open_ledger
from aiprod.ledger import backup as backups
from aiprod.reconciling import audited
from aiprod.settings import database_url

__all__ = ["app"]

app = subject()
_verbs = subject("The money ledger's database.")
app.add_typer(_verbs, name="ledger")

File = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")]


@_verbs.command("upgrade", epilog="Example: aiprod ledger upgrade")
def _upgrade(*, as_json: Json = False) -> None:
    """Create or migrate the schema."""
    ledger = Ledger(database_url())
    revision = ledger.upgrade()
    if as_json:
        return show_json({"ledger": ledger.where, "revision": revision})
    return line(f"ledger {ledger.where} is at revision {revision}")


@_verbs.command("check", epilog="Example: aiprod ledger check")
def _check(*, as_json: Json = False) -> None:
    """Say whether the schema fits this release."""
    ledger = Ledger(database_url())
    ledger.check()
    if as_json:
        return show_json({"ledger": ledger.where, "fits": True})
    return line(f"ledger {ledger.where} fits this release")


@_verbs.command("audit", epilog="Example: aiprod ledger audit")
def _audit(*, as_json: Json = False) -> int:
    """Say whether balances, journal and purchases agree; ends with 1 when they do not."""
    ledger = open_ledger(database_url())
    broken = audited(ledger, catalog())
    if as_json:
        show_json({"ledger": ledger.where, "faults": broken})
    else:
        for fault in broken:
            line(fault)
        line(f"ledger {ledger.where}: {f'{len(broken)} faults' if broken else 'the books are in order'}")
    return 1 if broken else 0


@_verbs.command("backup", epilog="Example: aiprod ledger backup /backups/monday.db")
def _backup(*, file: File, as_json: Json = False) -> int:
    """Copy the ledger to a file while jobs run, and verify the copy."""
    made = backups.backup(open_ledger(database_url()), file, catalog=catalog())
    if as_json:
        show_json(made.model_dump(mode="json"))
    else:
        for fault in made.faults:
            line(fault)
        books = f"its books have {len(made.faults)} faults" if made.faults else "its books are in order"
        line(f"{made.file}: {made.purchases} purchases as of {made.taken_at:%Y-%m-%d %H:%M:%S} UTC; {books}")
    return 1 if made.faults else 0


@_verbs.command("restore", epilog="Example: aiprod ledger restore /backups/monday.db --yes")
def _restore(
    *,
    file: File,
    yes: Annotated[bool, typer.Option("--yes", help="Also when the ledger holds jobs: it is kept aside.")] = False,
    by: By,
    as_json: Json = False,
) -> int:
    """Put a backup in the ledger's place; purchasing is stopped afterwards."""
    done = backups.restore(database_url(), file, catalog=catalog(), by=by, replace=yes)
    if as_json:
        show_json(done.model_dump(mode="json"))
    else:
        for fault in done.faults:
            line(fault)
        aside = f"; what was there is kept as {done.aside}" if done.aside else ""
        line(f"restored {done.purchases} purchases{aside}")
        line(f"purchasing is stopped: {done.stopped}. docs/runbook.md says how to go on")
    return 1 if done.faults else 0
