"""`aiprod ledger`: the money ledger's database."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from aiprod.catalog import catalog
from aiprod.ledger import Ledger, open_ledger
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
