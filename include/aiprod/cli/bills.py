"""`aiprod bill import`: a vendor's bill, explained to the cent, and every difference from what was bought."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aiprod.billing import BillLine, lines_of
from aiprod.catalog import catalog
from aiprod.cli.amounts import signed
from aiprod.cli.commands import subject
from aiprod.cli.person import By
from aiprod.cli.screen import Json, line, show_json
from aiprod.errors import SpecError
from aiprod.ledger import bills, open_ledger
from aiprod.ledger.bills import Explained, Explanation, Kind
from aiprod.ledger.engine import now as database_now

__all__ = ["app"]

app = subject()
_verbs = subject("Vendors' bills.")
app.add_typer(_verbs, name="bill")


#: What makes a bill differ from our books.
_DIFFERENT: tuple[Kind, ...] = ("other_amount", "still_open", "not_billed", "unknown_to_us")


@_verbs.command("import", epilog="Example: aiprod bill import october.csv --backend runway --book")
def _import(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV file.")],
    backend: Annotated[str, typer.Option("--backend", metavar="NAME", help="Whose bill it is.")],
    book: Annotated[bool, typer.Option("--book", help="Book other amounts as the vendor bills them, once.")] = False,
    by: By,
    as_json: Json = False,
) -> int:
    """Compare a vendor's bill with what was bought there.

    The file has the columns vendor_id, amount_usd and perhaps date. A row that cannot be read stops the import. The same
    content again is the same bill. Ends with 1 when the vendor bills a render that no purchase has.
    """
    if backend not in catalog().backends:
        raise SpecError([f"--backend {backend}: no such backend; known: {', '.join(catalog().backends)}"])
    lines = _read(file)
    with open_ledger().write() as conn:
        now = database_now(conn)
        sha, new = bills.enter(conn, backend, lines, source=file.name, by=by, now=now)
        found = bills.explain(conn, sha, now=now)
        booked = bills.book(conn, found, now=now) if book else []
    if as_json:
        show_json(
            {"bill": sha, "backend": backend, "lines": len(lines), "new": new, **_as_json(found),
             "booked": [item.model_dump(mode="json") for item in booked]}
        )  # fmt: skip
    else:
        line(f"bill {sha[:12]} of {backend}: {len(lines)} lines, {'imported' if new else 'imported before'}")
        _say(found, booked, book=book)
    return 1 if found.of("unknown_to_us") else 0


def _say(found: Explanation, booked: list[Explained], *, book: bool) -> None:
    for told in _explained(found):
        line(told)
    for item in booked:
        line(f"booked {signed(item.difference, plus=True)} on {item.what} (purchase {item.purchase_id})")
    if found.of("other_amount") and not book:
        line("nothing was booked; --book books the other amounts as the vendor bills them")


def _explained(found: Explanation) -> list[str]:
    same = found.of("matched")
    out = [f"matched: {len(same)}, {signed(sum(item.billed for item in same))}"]
    for item in found.of("other_amount"):
        out.append(f"other amount: {_billed(item)}")
    for item in found.of("still_open"):
        out.append(f"still open, settles by itself: {_billed(item)}")
    for item in found.of("not_billed"):
        out.append(f"not billed: {item.vendor_id}, ours {signed(item.ours)}, {item.what} (purchase {item.purchase_id})")
    for item in found.of("unknown_to_us"):
        out.append(f"UNKNOWN TO US: {item.vendor_id}, {_where(item)}, billed {signed(item.billed)}; no purchase has this id")
        out += [f"  could be {guess}" for guess in item.maybe] or ["  and none was lost about then"]
    if not found.dated:
        out.append("not every line has a date: what is missing from the bill cannot be told")
    parts = [(kind.replace("_", " "), sum(item.difference for item in found.of(kind))) for kind in _DIFFERENT]
    told = ", ".join(f"{word} {signed(amount, plus=True)}" for word, amount in parts if amount) or "nothing"
    out.append(
        f"billed {signed(found.billed)} - ours {signed(found.ours)} = "
        f"{signed(found.billed - found.ours, plus=True)}, explained by: {told}"
    )
    return out


def _billed(item: Explained) -> str:
    money = f"billed {signed(item.billed)}, ours {signed(item.ours)}: {signed(item.difference, plus=True)}"
    return f"{item.vendor_id}, {_where(item)}, {money}, {item.what} (purchase {item.purchase_id})"


def _where(item: Explained) -> str:
    return f"line {', '.join(map(str, item.lines))}"


def _read(file: Path) -> tuple[BillLine, ...]:
    try:
        return lines_of(file.read_bytes())
    except OSError as error:
        raise SpecError([f"{file}: {error.strerror}"]) from None
    except SpecError as error:
        raise SpecError([f"{file}: {problem}" for problem in error.problems]) from None


def _as_json(found: Explanation) -> dict[str, object]:
    items = [{**item.model_dump(mode="json"), "difference": item.difference} for item in found.items]
    return {"billed": found.billed, "ours": found.ours, "dated": found.dated, "items": items}
