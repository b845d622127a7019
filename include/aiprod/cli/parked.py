"""`aiprod parked`: purchases that wait for a person, and the person's answers."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from aiprod import parking
from aiprod.catalog import catalog
from aiprod.cli.amounts import typed_usd
from aiprod.cli.person import add_by
from aiprod.errors import MoneyError, SpecError
from aiprod.ledger import open_ledger
from aiprod.ledger.parked import AnswerWord
from aiprod.models import Micros, dollars, micros

if TYPE_CHECKING:
    from aiprod.cli.jobs import Commands

__all__ = ["add"]

_VERBS: dict[str, tuple[AnswerWord, str]] = {
    "ran": ("ran", "it ran: attach the vendor's id; it is watched, paid for and fetched"),
    "did-not-run": ("did_not_run", "it did not run: give its money back"),
    "write-off": ("write_off", "nobody will know: close it at its hold, or at --charged"),
    "file-gone": ("file_gone", "it is paid and the vendor no longer has its file: let the shot be bought again"),
}


def add(commands: Commands) -> None:
    """Add the commands to the parser."""
    parked = commands.add_parser("parked", help="purchases that wait for a person")
    parked.set_defaults(run=_list)
    verbs = parked.add_subparsers(dest="verb", metavar="answer")
    for verb, (word, what) in _VERBS.items():
        answer = verbs.add_parser(verb, help=what)
        answer.add_argument("purchase", help="the id, or as much of it as `aiprod parked` shows")
        answer.add_argument("--why", required=True, help="for whoever reads the books later")
        add_by(answer)
        if word == "ran":
            answer.add_argument("--vendor-id", required=True, help="the id that the vendor's own page shows for the render")
        else:
            answer.add_argument("--yes", action="store_true", help="do it although the shot may be paid for twice")
        if word == "write_off":
            answer.add_argument("--charged", type=_amount, metavar="DOLLARS", help="what the vendor billed (default: the hold)")
        answer.set_defaults(run=_answer, word=word)


def _amount(text: str) -> Micros:
    try:
        return micros(typed_usd(text))
    except SpecError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _list(args: argparse.Namespace) -> None:
    found = parking.listed(open_ledger())
    if not found:
        print("nothing waits for a person")
        return
    print(f"{'purchase':<10} {'job':<24} {'shot':>4}  {'backend':<10} {'model':<22} {'held':>8}  since (UTC)")
    for line in found:
        p = line.purchase
        held = dollars(p.hold if p.closed_at is None else p.charged or 0)
        where = f"{p.job_id:<24} {p.subject:>4}  {p.backend:<10} {p.model:<22}"
        print(f"{line.short:<10} {where} {held:>8}  {line.since:%Y-%m-%d %H:%M}")
        print(f"           why: {line.why}")
        print(f'           look for: "{line.prompt}", sent {line.sent_at:%Y-%m-%d %H:%M:%S} UTC, key {p.purchase_id}')
        print(f"           answers: {', '.join(verb for verb, (word, _) in _VERBS.items() if word in line.answers)}")
    print(f"{len(found)} wait; answer with `aiprod parked ANSWER {found[0].short} --why …`")


def _answer(args: argparse.Namespace) -> None:
    ledger = open_ledger()
    word: AnswerWord = args.word
    purchase = parking.one(ledger, args.purchase).purchase
    risk = parking.consequence(purchase, word)
    if risk and not args.yes:
        raise MoneyError(f"{risk}; nothing was changed: say the same with --yes to go on")
    told = parking.answer(
        ledger,
        catalog(),
        purchase.purchase_id,
        word,
        by=args.by,
        why=args.why,
        vendor_id=getattr(args, "vendor_id", ""),
        charged=getattr(args, "charged", None),
    )
    print(told)
