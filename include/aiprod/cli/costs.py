"""`aiprod costs` and `aiprod bill import`: what was quoted, charged and billed, and every difference between them."""

from __future__ import annotations

import argparse
import json
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from aiprod.billing import BillLine, lines_of
from aiprod.catalog import catalog
from aiprod.cli.person import add_by
from aiprod.costs import ModelCosts, costs_of, total
from aiprod.errors import JobFailed, SpecError
from aiprod.ledger import bills, open_ledger
from aiprod.ledger.bills import Explained, Explanation, Kind
from aiprod.ledger.charges import charges, settled_between
from aiprod.ledger.engine import now as database_now
from aiprod.models import Micros, dollars
from aiprod.pricing import old_prices

if TYPE_CHECKING:
    from aiprod.cli.jobs import Commands

__all__ = ["add"]

#: What makes a bill differ from our books.
_DIFFERENT: tuple[Kind, ...] = ("other_amount", "still_open", "not_billed", "unknown_to_us")
_IMPORT = """Compare a vendor's bill with what was bought there. The file has the columns vendor_id, amount_usd and perhaps date.
A row that cannot be read stops the import. The same content again is the same bill. Ends with 1 when the vendor bills a
render that no purchase has."""


def add(commands: Commands) -> None:
    """Add the commands to the parser."""
    costs = commands.add_parser("costs", help="what was quoted and what was charged, per backend and model")
    costs.add_argument("--days", type=_days, default=30, metavar="N", help="the last N times 24 hours (default: 30)")
    costs.add_argument("--json", action="store_true", help="for programs; amounts in micro-dollars")
    costs.set_defaults(run=_costs)
    verbs = commands.add_parser("bill", help="vendors' bills").add_subparsers(dest="verb", required=True, metavar="verb")
    load = verbs.add_parser("import", help="explain a vendor's bill to the cent", description=_IMPORT)
    load.add_argument("file", type=Path, help="a CSV file")
    load.add_argument("--backend", required=True, metavar="NAME", help="whose bill it is")
    load.add_argument("--book", action="store_true", help="book other amounts as the vendor bills them, once")
    add_by(load)
    load.set_defaults(run=_import)


def _costs(args: argparse.Namespace) -> None:
    known = catalog()
    with open_ledger().read() as conn:
        now = database_now(conn)
        since, until = now - timedelta(days=args.days), now + timedelta(microseconds=1)
        found = costs_of(charges(conn, since, until))
        settled = settled_between(conn, since, until)
    if total(found) != settled:
        raise JobFailed(f"the report comes to {dollars(total(found))}, the ledger settled {dollars(settled)}: do not trust it")
    aged = old_prices(known.prices, now.date())
    if args.json:
        lines = [{**one.model_dump(), "difference_percent": one.difference, "total": one.total} for one in found]
        prices = [price.model_dump(mode="json", exclude_none=True) for price in aged]
        print(json.dumps({"since": since.isoformat(), "lines": lines, "total": settled, "old_prices": prices}, indent=2))
        return
    for one in found:
        print(_costs_line(one))
    print(f"total {_signed(settled)} in {args.days} days, as settled in the ledger")
    for price in aged:
        kind = {True: " with sound", False: " silent", None: ""}[price.audio]
        sizes = f" {'/'.join(price.resolutions)}" if price.resolutions else ""
        print(
            f"old price: {price.backend} {price.model}{kind}{sizes} ${price.usd_per_second}/s since {price.valid_from} "
            f"({_age(price.valid_from, now.date())} days), {price.source}"
        )


def _costs_line(one: ModelCosts) -> str:
    off = "" if one.difference is None else f" ({one.difference:+.2f} %)"
    parts = [
        f"{one.backend} {one.model}: {one.purchases} purchases, quoted {dollars(one.quoted)}, charged {dollars(one.charged)}{off}"
    ]
    parts += [f"told by {', '.join(f'{word} {count}' for word, count in one.sources.items())}"] if one.sources else []
    extras = {
        "wasted": one.waste,
        "over its holds": one.overbilled,
        "late bills": one.late_bills,
        "refunds": one.refunds,
    }
    parts += [f"{word} {_signed(amount)}" for word, amount in extras.items() if amount]
    return ", ".join([*parts, f"total {_signed(one.total)}"])


def _import(args: argparse.Namespace) -> int:
    if args.backend not in catalog().backends:
        raise SpecError([f"--backend {args.backend}: no such backend; known: {', '.join(catalog().backends)}"])
    lines = _read(args.file)
    with open_ledger().write() as conn:
        now = database_now(conn)
        sha, new = bills.enter(conn, args.backend, lines, source=args.file.name, by=args.by, now=now)
        found = bills.explain(conn, sha, now=now)
        booked = bills.book(conn, found, now=now) if args.book else []
    print(f"bill {sha[:12]} of {args.backend}: {len(lines)} lines, {'imported' if new else 'imported before'}")
    for line in _explained(found):
        print(line)
    for item in booked:
        print(f"booked {_signed(item.difference, plus=True)} on {item.what} (purchase {item.purchase_id})")
    if found.of("other_amount") and not args.book:
        print("nothing was booked; --book books the other amounts as the vendor bills them")
    return 1 if found.of("unknown_to_us") else 0


def _explained(found: Explanation) -> list[str]:
    same = found.of("matched")
    out = [f"matched: {len(same)}, {_signed(sum(item.billed for item in same))}"]
    for item in found.of("other_amount"):
        out.append(f"other amount: {_billed(item)}")
    for item in found.of("still_open"):
        out.append(f"still open, settles by itself: {_billed(item)}")
    for item in found.of("not_billed"):
        out.append(f"not billed: {item.vendor_id}, ours {_signed(item.ours)}, {item.what} (purchase {item.purchase_id})")
    for item in found.of("unknown_to_us"):
        out.append(f"UNKNOWN TO US: {item.vendor_id}, {_where(item)}, billed {_signed(item.billed)}; no purchase has this id")
        out += [f"  could be {guess}" for guess in item.maybe] or ["  and none was lost about then"]
    if not found.dated:
        out.append("not every line has a date: what is missing from the bill cannot be told")
    parts = [(kind.replace("_", " "), sum(item.difference for item in found.of(kind))) for kind in _DIFFERENT]
    told = ", ".join(f"{word} {_signed(amount, plus=True)}" for word, amount in parts if amount) or "nothing"
    out.append(
        f"billed {_signed(found.billed)} - ours {_signed(found.ours)} = "
        f"{_signed(found.billed - found.ours, plus=True)}, explained by: {told}"
    )
    return out


def _billed(item: Explained) -> str:
    money = f"billed {_signed(item.billed)}, ours {_signed(item.ours)}: {_signed(item.difference, plus=True)}"
    return f"{item.vendor_id}, {_where(item)}, {money}, {item.what} (purchase {item.purchase_id})"


def _where(item: Explained) -> str:
    return f"line {', '.join(map(str, item.lines))}"


def _signed(amount: Micros, *, plus: bool = False) -> str:
    return f"-{dollars(-amount)}" if amount < 0 else f"{'+' if plus else ''}{dollars(amount)}"


def _read(file: Path) -> tuple[BillLine, ...]:
    try:
        return lines_of(file.read_bytes())
    except OSError as error:
        raise SpecError([f"{file}: {error.strerror}"]) from None
    except SpecError as error:
        raise SpecError([f"{file}: {problem}" for problem in error.problems]) from None


def _age(since: date, today: date) -> int:
    return (today - since).days


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 3_650:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days from 1 to 3650")
    return int(text)
