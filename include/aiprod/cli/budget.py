"""`aiprod budget`: the caps as they stand, setting them by hand, and the switch that stops all buying."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

import typer

from aiprod.budgets import Scope, day_window
from aiprod.catalog import catalog
from aiprod.cli.amounts import typed_usd
from aiprod.cli.commands import subject
from aiprod.cli.person import By
from aiprod.cli.screen import Json, line, show_json, table
from aiprod.errors import SpecError
from aiprod.ledger import gates, limits, open_ledger
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.gates import Stopped
from aiprod.ledger.standings import Standing, standing
from aiprod.models import dollars, limit_micros

__all__ = ["app"]

app = subject()
_verbs = subject("Caps, and the switch that stops all buying.")
app.add_typer(_verbs, name="budget")

_FIGURES = ("limit", "held", "charged", "left", "overrun", "warns at")
#: An amount below zero is refused as an amount; it is not an option.
_AMOUNTS = {"ignore_unknown_options": True}


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day; write YYYY-MM-DD") from None


Cap = Annotated[str, typer.Argument(metavar="CAP", help="day | project:NAME | backend:NAME | campaign:NAME | job:ID")]


@_verbs.command("show", epilog="Example: aiprod budget show --all --json")
def _show(
    *,
    day: Annotated[
        date | None, typer.Option(metavar="YYYY-MM-DD", parser=_day, help="That day's caps (default: today's).")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="With the jobs and envelopes that buy.")] = False,
    as_json: Json = False,
) -> None:
    """Every cap with its use."""
    known = catalog()
    with open_ledger().read() as conn:
        now = database_now(conn)
        found = standing(conn, known, now=now, day=day, everything=everything)
        switch = gates.switch(conn)
    today, _, ends_at = day_window(now, known.zone)
    day = day or today
    if as_json:
        return show_json(
            {
                "day": day.isoformat(),
                "zone": known.budgets.zone,
                "today_ends_at": ends_at.isoformat(),
                "stopped": switch.model_dump(mode="json") if switch else None,
                "caps": [_as_json(cap) for cap in found],
            }
        )
    line(f"{_window(day, today, ends_at, known.budgets.zone)}. {_switch(switch)}")
    table(("cap", "limit", "held", "charged", "left", "overrun", "warns at", "set by"), [_row(c) for c in found], right=_FIGURES)
    return None


def _as_json(cap: Standing) -> dict[str, object]:
    return {**cap.model_dump(mode="json"), "left": cap.left}


def _window(day: date, today: date, ends_at: datetime, zone: str) -> str:
    if day != today:
        return f"Day {day} in {zone}"
    return f"Day {day} in {zone}, ends {ends_at:%Y-%m-%d %H:%M} UTC"


def _switch(switch: Stopped | None) -> str:
    if switch is None:
        return "Purchasing is open."
    return f"Purchasing is STOPPED by {switch.by} since {switch.since:%Y-%m-%d %H:%M} UTC: {switch.why}"


def _row(cap: Standing) -> tuple[str, ...]:
    money = [dollars(amount) for amount in (cap.cap, cap.held, cap.charged, cap.left)]
    warn = "-" if cap.warn is None else dollars(cap.warn) + (" crossed" if cap.warned_at else "")
    by = cap.set_by or ("configuration" if cap.applies else "nobody; not applied any more")
    zone = cap.key.rsplit("@", 1)[-1]
    name = f"{cap.scope} ({zone})" if cap.kind in ("day", "backend_day") else cap.scope
    return (name, *money, dollars(cap.overrun) if cap.overrun else "-", warn, by)


@_verbs.command("set", context_settings=_AMOUNTS, epilog="Example: aiprod budget set project:acme 250 --by ann")
def _set(
    *,
    cap: Cap,
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="Dollars, for example 50 or 12.50; 0 closes the cap.")],
    today: Annotated[bool, typer.Option("--today", help="Only for the running day (day and backend:NAME).")] = False,
    by: By,
    as_json: Json = False,
) -> None:
    """Set a cap by hand, in dollars; 0 closes it.

    It stands before the configuration from now on, today and on every later day, until `aiprod budget clear`; with --today
    only until the day ends. What was bought before counts too. A cap below its use lets nothing new be bought; what runs goes
    on and is paid. No order can change a cap; the envelope a person approved is not widened by raising one. A campaign's cap
    is the amount it was approved with, until another is set; it is never cleared.
    """
    # What is finer than a micro-dollar is cut off, as of every limit.
    scope, money, known = Scope.parse(cap), limit_micros(typed_usd(amount)), catalog()
    with open_ledger().write() as conn:
        now = database_now(conn)
        balance = limits.set_cap(conn, scope, money, by=by, catalog=known, now=now, today_only=today)
    if as_json:
        return show_json(
            {"cap": str(scope), "limit": balance.cap, "charged": balance.settled, "held": balance.reserved, "left": balance.free}
        )
    until = "until the day ends" if today else "until it is set again" if scope.kind == "campaign" else "until it is cleared"
    used = f"{dollars(balance.settled)} charged, {dollars(balance.reserved)} held"
    line(f"{scope} is {dollars(balance.cap)} by {by}, {until}: {used}")
    if balance.free <= 0:
        over = f", {dollars(balance.overrun)} over" if balance.overrun else ""
        line(f"closed for new purchases{over}; what runs goes on and is paid")
    return None


@_verbs.command("clear", epilog="Example: aiprod budget clear project:acme")
def _clear(*, cap: Cap, by: By, as_json: Json = False) -> None:
    """Let a cap follow the configuration again."""
    scope = Scope.parse(cap)
    with open_ledger().write() as conn:
        cleared = limits.clear_cap(conn, scope, by=by, catalog=catalog(), now=database_now(conn))
    if as_json:
        return show_json({"cap": str(scope), "cleared": cleared})
    return line(f"{scope} follows the configuration again" if cleared else f"{scope} was not set by hand; nothing changed")


@_verbs.command("stop", epilog="Example: aiprod budget stop 'the card is being changed'")
def _stop(
    *, why: Annotated[str, typer.Argument(metavar="WHY", help="The reason people will read.")], by: By, as_json: Json = False
) -> None:
    """Stop all buying, at the next hold and at the next request; what was sent is still paid."""
    why = " ".join(why.split())
    if not why:
        raise SpecError(["say why: people who cannot buy will read it"])
    with open_ledger().write() as conn:
        fresh = gates.stop_purchasing(conn, why, by=by, now=database_now(conn))
        switch = gates.switch(conn)
    if as_json:
        return show_json({"stopped": switch.model_dump(mode="json") if switch else None, "changed": fresh})
    line(_switch(switch) if fresh else f"It was stopped before. {_switch(switch)}")
    return line("Nothing new is held or sent; what was sent is still billed, watched and delivered.")


@_verbs.command("open", epilog="Example: aiprod budget open --by ann")
def _open(*, by: By, as_json: Json = False) -> None:
    """Allow buying again."""
    with open_ledger().write() as conn:
        fresh = gates.open_purchasing(conn, by=by, now=database_now(conn))
    if as_json:
        return show_json({"stopped": None, "changed": fresh})
    return line(f"Purchasing is open again, by {by}." if fresh else "Purchasing was open; nothing changed.")
