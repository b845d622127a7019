"""`aiprod budget`: the caps as they stand, setting them by hand, and the switch that stops all buying."""

from __future__ import annotations

import argparse
import json
from datetime import date, datetime
from typing import TYPE_CHECKING

from aiprod.budgets import Scope, day_window
from aiprod.catalog import catalog
from aiprod.cli.amounts import typed_usd
from aiprod.cli.person import add_by
from aiprod.errors import SpecError
from aiprod.ledger import gates, limits, open_ledger
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.gates import Stopped
from aiprod.ledger.standings import Standing, standing
from aiprod.models import dollars, limit_micros

if TYPE_CHECKING:
    from aiprod.cli.jobs import Commands

__all__ = ["add"]

_SCOPE = "day | project:NAME | backend:NAME | campaign:NAME | job:ID"
_SET = """Set a cap by hand, in dollars; 0 closes it. It stands before the configuration from now on, today and on every later
day, until `aiprod budget clear`; with --today only until the day ends. What was bought before counts too. A cap below its use
lets nothing new be bought; what runs goes on and is paid. No order can change a cap; the envelope a person approved is not
widened by raising one. A campaign's cap is the amount it was approved with, until another is set; it is never cleared."""


def add(commands: Commands) -> None:
    """Add the commands to the parser."""
    budget = commands.add_parser("budget", help="caps, and the switch that stops all buying")
    verbs = budget.add_subparsers(dest="verb", required=True, metavar="verb")
    show = verbs.add_parser("show", help="every cap with its use")
    show.add_argument("--day", type=_day, metavar="YYYY-MM-DD", help="that day's caps (default: today's)")
    show.add_argument("--all", action="store_true", help="with the jobs and envelopes that buy")
    show.add_argument("--json", action="store_true", help="for programs; amounts in micro-dollars")
    show.set_defaults(run=_show)
    put = verbs.add_parser("set", help="set a cap by hand", description=_SET)
    put.add_argument("cap", metavar="CAP", help=_SCOPE)
    put.add_argument("amount", metavar="AMOUNT", help="dollars, for example 50 or 12.50; 0 closes the cap")
    put.add_argument("--today", action="store_true", help="only for the running day (day and backend:NAME)")
    put.set_defaults(run=_set)
    clear = verbs.add_parser("clear", help="let a cap follow the configuration again")
    clear.add_argument("cap", metavar="CAP", help=_SCOPE)
    clear.set_defaults(run=_clear)
    stop = verbs.add_parser("stop", help="stop all buying, at the next hold and at the next request; what was sent is still paid")
    stop.add_argument("why", help="the reason people will read")
    stop.set_defaults(run=_stop)
    again = verbs.add_parser("open", help="allow buying again")
    again.set_defaults(run=_open)
    for command in (put, clear, stop, again):
        add_by(command)


def _show(args: argparse.Namespace) -> None:
    known = catalog()
    with open_ledger().read() as conn:
        now = database_now(conn)
        found = standing(conn, known, now=now, day=args.day, everything=args.all)
        switch = gates.switch(conn)
    today, _, ends_at = day_window(now, known.zone)
    day = args.day or today
    if args.json:
        whole = {
            "day": day.isoformat(),
            "zone": known.budgets.zone,
            "today_ends_at": ends_at.isoformat(),
            "stopped": switch.model_dump(mode="json") if switch else None,
            "caps": [{**cap.model_dump(mode="json"), "left": cap.left} for cap in found],
        }
        print(json.dumps(whole, indent=2))
        return
    print(f"{_window(day, today, ends_at, known.budgets.zone)}. {_switch(switch)}")
    print(_table(found))


def _window(day: date, today: date, ends_at: datetime, zone: str) -> str:
    if day != today:
        return f"Day {day} in {zone}"
    return f"Day {day} in {zone}, ends {ends_at:%Y-%m-%d %H:%M} UTC"


def _switch(switch: Stopped | None) -> str:
    if switch is None:
        return "Purchasing is open."
    return f"Purchasing is STOPPED by {switch.by} since {switch.since:%Y-%m-%d %H:%M} UTC: {switch.why}"


def _table(found: list[Standing]) -> str:
    header = ("cap", "limit", "held", "charged", "left", "overrun", "warns at", "set by")
    rows = [header, *(_row(cap) for cap in found)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if n in (0, 7) else cell.rjust(w) for n, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _row(cap: Standing) -> tuple[str, ...]:
    money = [dollars(amount) for amount in (cap.cap, cap.held, cap.charged, cap.left)]
    warn = "-" if cap.warn is None else dollars(cap.warn) + (" crossed" if cap.warned_at else "")
    by = cap.set_by or ("configuration" if cap.applies else "nobody; not applied any more")
    zone = cap.key.rsplit("@", 1)[-1]
    name = f"{cap.scope} ({zone})" if cap.kind in ("day", "backend_day") else cap.scope
    return (name, *money, dollars(cap.overrun) if cap.overrun else "-", warn, by)


def _set(args: argparse.Namespace) -> None:
    # What is finer than a micro-dollar is cut off, as of every limit.
    scope, amount, known = Scope.parse(args.cap), limit_micros(typed_usd(args.amount)), catalog()
    with open_ledger().write() as conn:
        now = database_now(conn)
        cap = limits.set_cap(conn, scope, amount, by=args.by, catalog=known, now=now, today_only=args.today)
    until = "until the day ends" if args.today else "until it is set again" if scope.kind == "campaign" else "until it is cleared"
    print(f"{scope} is {dollars(cap.cap)} by {args.by}, {until}: {dollars(cap.settled)} charged, {dollars(cap.reserved)} held")
    if cap.free <= 0:
        over = f", {dollars(cap.overrun)} over" if cap.overrun else ""
        print(f"closed for new purchases{over}; what runs goes on and is paid")


def _clear(args: argparse.Namespace) -> None:
    scope = Scope.parse(args.cap)
    with open_ledger().write() as conn:
        cleared = limits.clear_cap(conn, scope, by=args.by, catalog=catalog(), now=database_now(conn))
    print(f"{scope} follows the configuration again" if cleared else f"{scope} was not set by hand; nothing changed")


def _stop(args: argparse.Namespace) -> None:
    why = " ".join(args.why.split())
    if not why:
        raise SpecError(["say why: people who cannot buy will read it"])
    with open_ledger().write() as conn:
        fresh = gates.stop_purchasing(conn, why, by=args.by, now=database_now(conn))
        switch = gates.switch(conn)
    print(_switch(switch) if fresh else f"It was stopped before. {_switch(switch)}")
    print("Nothing new is held or sent; what was sent is still billed, watched and delivered.")


def _open(args: argparse.Namespace) -> None:
    with open_ledger().write() as conn:
        fresh = gates.open_purchasing(conn, by=args.by, now=database_now(conn))
    print(f"Purchasing is open again, by {args.by}." if fresh else "Purchasing was open; nothing changed.")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day; write YYYY-MM-DD") from None
