"""`aiprod ledger`: the money ledger's database."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from aiprod.catalog import catalog
from aiprod.cli.person import add_by
from aiprod.ledger import Ledger, open_ledger
from aiprod.ledger import backup as backups
from aiprod.reconciling import audited
from aiprod.settings import database_url

if TYPE_CHECKING:
    from aiprod.cli.jobs import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the commands to the parser."""
    ledger = commands.add_parser("ledger", help="the money ledger's database")
    verbs = ledger.add_subparsers(dest="verb", required=True, metavar="verb")
    verbs.add_parser("upgrade", help="create or migrate the schema").set_defaults(run=_upgrade)
    verbs.add_parser("check", help="say whether the schema fits this release").set_defaults(run=_check)
    backup = verbs.add_parser("backup", help="copy the ledger to a file while jobs run, and verify the copy")
    backup.add_argument("file", type=Path)
    backup.set_defaults(run=_backup)
    restore = verbs.add_parser("restore", help="put a backup in the ledger's place; purchasing is stopped afterwards")
    restore.add_argument("file", type=Path)
    restore.add_argument("--yes", action="store_true", help="also when the ledger holds jobs: it is kept aside")
    add_by(restore)
    restore.set_defaults(run=_restore)
    verbs.add_parser("audit", help="say whether balances, journal and purchases agree").set_defaults(run=_audit)


def _upgrade(args: argparse.Namespace) -> None:
    ledger = Ledger(database_url())
    print(f"ledger {ledger.where} is at revision {ledger.upgrade()}")


def _check(args: argparse.Namespace) -> None:
    ledger = Ledger(database_url())
    ledger.check()
    print(f"ledger {ledger.where} fits this release")


def _audit(args: argparse.Namespace) -> int:
    ledger = open_ledger(database_url())
    broken = audited(ledger, catalog())
    for line in broken:
        print(line)
    print(f"ledger {ledger.where}: {f'{len(broken)} faults' if broken else 'the books are in order'}")
    return 1 if broken else 0


def _backup(args: argparse.Namespace) -> int:
    ledger = open_ledger(database_url())
    made = backups.backup(ledger, args.file, catalog=catalog())
    for line in made.faults:
        print(line)
    books = f"its books have {len(made.faults)} faults" if made.faults else "its books are in order"
    print(f"{made.file}: {made.purchases} purchases as of {made.taken_at:%Y-%m-%d %H:%M:%S} UTC; {books}")
    return 1 if made.faults else 0


def _restore(args: argparse.Namespace) -> int:
    done = backups.restore(database_url(), args.file, catalog=catalog(), by=args.by, replace=args.yes)
    for line in done.faults:
        print(line)
    aside = f"; what was there is kept as {done.aside}" if done.aside else ""
    print(f"restored {done.purchases} purchases{aside}")
    print(f"purchasing is stopped: {done.stopped}. docs/runbook.md says how to go on")
    return 1 if done.faults else 0
