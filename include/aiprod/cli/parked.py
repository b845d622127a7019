"""`aiprod parked`: purchases that wait for a person, and the person's answers."""

from __future__ import annotations

from typing import Annotated

import typer

from aiprod import parking
from aiprod.catalog import catalog
from aiprod.cli.amounts import typed_usd
from aiprod.cli.commands import subject
from aiprod.cli.person import By
from aiprod.cli.screen import Json, line, show_json
from aiprod.errors import MoneyError, SpecError
from aiprod.ledger import open_ledger
from aiprod.ledger.parked import AnswerWord
from aiprod.models import Micros, dollars, micros

__all__ = ["app"]

app = subject()
_verbs = subject()
app.add_typer(_verbs, name="parked")

#: What people type for each answer.
_VERBS: dict[AnswerWord, str] = {
    "ran": "ran",
    "did_not_run": "did-not-run",
    "write_off": "write-off",
    "file_gone": "file-gone",
}


def _amount(text: str) -> Micros:
    try:
        return micros(typed_usd(text))
    except SpecError as error:
        raise typer.BadParameter(str(error)) from None


Which = Annotated[str, typer.Argument(metavar="PURCHASE", help="The id, or as much of it as `aiprod parked` shows.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="For whoever reads the books later.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it although the shot may be paid for twice.")]


@_verbs.callback(invoke_without_command=True, epilog="Example: aiprod parked")
def _list(context: typer.Context, *, as_json: Json = False) -> None:
    """List purchases that wait for a person; the answers are commands."""
    if context.invoked_subcommand is not None:
        return
    found = parking.listed(open_ledger())
    if as_json:
        return show_json({"parked": [one.model_dump(mode="json") for one in found]})
    if not found:
        return line("nothing waits for a person")
    line(f"{'purchase':<10} {'job':<24} {'shot':>4}  {'backend':<10} {'model':<22} {'held':>8}  since (UTC)")
    for one in found:
        p = one.purchase
        held = dollars(p.hold if p.closed_at is None else p.charged or 0)
        where = f"{p.job_id:<24} {p.subject:>4}  {p.backend:<10} {p.model:<22}"
        line(f"{one.short:<10} {where} {held:>8}  {one.since:%Y-%m-%d %H:%M}")
        line(f"           why: {one.why}")
        line(f'           look for: "{one.prompt}", sent {one.sent_at:%Y-%m-%d %H:%M:%S} UTC, key {p.purchase_id}')
        line(f"           answers: {', '.join(verb for word, verb in _VERBS.items() if word in one.answers)}")
    return line(f"{len(found)} wait; answer with `aiprod parked ANSWER {found[0].short} --why …`")


@_verbs.command("ran", epilog="Example: aiprod parked ran 4f1c --vendor-id 8d2… --why 'on their page'")
def _ran(
    *,
    purchase: Which,
    why: Why,
    vendor_id: Annotated[str, typer.Option(metavar="ID", help="The id that the vendor's own page shows for the render.")],
    by: By,
    as_json: Json = False,
) -> None:
    """It ran: attach the vendor's id; it is watched, paid for and fetched."""
    _answer(purchase, "ran", why=why, by=by, vendor_id=vendor_id, as_json=as_json)


@_verbs.command("did-not-run", epilog="Example: aiprod parked did-not-run 4f1c --why 'not on their page' --yes")
def _did_not_run(*, purchase: Which, why: Why, by: By, yes: Yes = False, as_json: Json = False) -> None:
    """It did not run: give its money back."""
    _answer(purchase, "did_not_run", why=why, by=by, yes=yes, as_json=as_json)


@_verbs.command("write-off", epilog="Example: aiprod parked write-off 4f1c --why 'their bill' --charged 0.60 --yes")
def _write_off(
    *,
    purchase: Which,
    why: Why,
    by: By,
    charged: Annotated[
        Micros | None, typer.Option(parser=_amount, metavar="DOLLARS", help="What the vendor billed (default: the hold).")
    ] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Nobody will know: close it at its hold, or at --charged."""
    _answer(purchase, "write_off", why=why, by=by, charged=charged, yes=yes, as_json=as_json)


@_verbs.command("file-gone", epilog="Example: aiprod parked file-gone 4f1c --why 'deleted there' --yes")
def _file_gone(*, purchase: Which, why: Why, by: By, yes: Yes = False, as_json: Json = False) -> None:
    """It is paid and the vendor no longer has its file: let the shot be bought again."""
    _answer(purchase, "file_gone", why=why, by=by, yes=yes, as_json=as_json)


def _answer(
    prefix: str,
    word: AnswerWord,
    *,
    why: str,
    by: str,
    as_json: bool,
    vendor_id: str = "",
    charged: Micros | None = None,
    yes: bool = False,
) -> None:
    ledger = open_ledger()
    purchase = parking.one(ledger, prefix).purchase
    risk = parking.consequence(purchase, word)
    if risk and not yes:
        raise MoneyError(f"{risk}; nothing was changed: say the same with --yes to go on")
    told = parking.answer(ledger, catalog(), purchase.purchase_id, word, by=by, why=why, vendor_id=vendor_id, charged=charged)
    show_json({"purchase_id": purchase.purchase_id, "answer": word, "by": by, "told": told}) if as_json else line(told)
