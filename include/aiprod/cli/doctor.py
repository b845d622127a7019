"""`aiprod doctor`: whether money, files and every backend are ready, without spending."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from aiprod import settings
from aiprod.catalog import catalog
from aiprod.errors import AiprodError, ConfigError
from aiprod.examining import Examined, examine
from aiprod.ledger import DatabaseError, gates, open_ledger
from aiprod.ledger.engine import now as database_now
from aiprod.storage import Storage

if TYPE_CHECKING:
    from aiprod.cli.jobs import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    doctor = commands.add_parser("doctor", help="is everything ready to buy: ledger, storage, and every backend; spends nothing")
    doctor.add_argument("backend", nargs="*", help="only these (default: all the catalogue knows)")
    doctor.add_argument("--json", action="store_true", help="for programs")
    doctor.set_defaults(run=_doctor)


def _doctor(args: argparse.Namespace) -> int:
    known = catalog()
    names = args.backend or list(known.backend_order)
    strangers = [name for name in names if name not in known.backends]
    if strangers:
        raise ConfigError(f"unknown backend {strangers[0]!r}; known: {', '.join(known.backend_order)}")
    ledger, ledger_trouble, today = "", "", None
    try:
        with open_ledger().read() as conn:
            today = database_now(conn).astimezone(known.zone).date()
            switch = gates.switch(conn)
        ledger = f"stopped by {switch.by}: {switch.why}" if switch else "open"
        ledger_trouble = f"purchasing is {ledger}" if switch else ""
    except (AiprodError, DatabaseError) as error:
        ledger_trouble = " ".join(str(error).split())
    storage_trouble = _storage()
    examined = [examine(known, name, today=today) for name in names] if today else []
    if args.json:
        print(json.dumps({"ledger": ledger_trouble or "ready", "storage": storage_trouble or "ready",
                          "dry_run": settings.dry_run(), "backends": [e.model_dump() for e in examined]}, indent=2))  # fmt: skip
    else:
        print(f"ledger     {ledger_trouble or 'ready, purchasing is open'}")
        print(f"storage    {storage_trouble or 'ready'}")
        if settings.dry_run():
            print("dry run    AIPROD_DRY_RUN is set: nothing is sent to any vendor")
        for found in examined:
            _print(found)
    return 1 if ledger_trouble or storage_trouble or any(e.troubles for e in examined) else 0


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
        print(f"{found.backend:<10} {found.missing}")
    elif found.left == "no cost":
        print(f"{found.backend:<10} ready: needs no key, costs nothing")
    else:
        said = [f"reachable: {found.reachable}", f"key accepted: {found.authenticated}", found.left]
        print(f"{found.backend:<10} {'; '.join(part for part in said if part)}")
    for line in (*found.troubles, *found.notes):
        print(f"{'':<10} {line}")
