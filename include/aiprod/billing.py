"""A vendor's bill as a CSV file → its lines: exact amounts, or every row that cannot be read named by line and column. Pure."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal

from aiprod.errors import SpecError
from aiprod.models import MAX_PROBLEMS, USD, Micros, Noun

__all__ = ["BillLine", "lines_of"]

_NEEDED = ("vendor_id", "amount_usd")
_COLUMNS = (*_NEEDED, "date")
#: 1234.5, 1,234.50, $1.50, -$0.60, $-0.60 and the bookkeeper's ($0.60). A comma elsewhere may be a decimal point: refused.
_AMOUNT = re.compile(
    r"(?P<open>\()?(?P<minus>-)?\$?(?P<minus2>-)?(?P<number>(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.[0-9]+)?|\.[0-9]+)(?P<close>\))?"
)
_MOST = Decimal(1_000_000_000)


class BillLine(Noun):
    """One line of a bill. `amount` in micro-dollars, a refund negative; `billed_at` is UTC; `line` counts from 1 in the file."""

    line: int
    vendor_id: str
    amount: Micros
    billed_at: datetime | None = None


def lines_of(raw: bytes) -> tuple[BillLine, ...]:
    """Return the lines of a bill with the columns vendor_id, amount_usd and perhaps date, in any order; others are ignored.

    Raises `SpecError` naming every row that cannot be read: a bill is read whole or not at all. Amounts finer than a
    micro-dollar are rounded half to even.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SpecError(["the bill is not UTF-8 text"]) from None
    found: list[BillLine] = []
    problems: list[str] = []
    try:
        rows = _rows(text)
        columns = _columns(next(rows, (1, []))[1])
        for number, row in rows:
            if not any(cell.strip() for cell in row):
                continue
            line, wrong = _line(number, row, columns)
            problems += wrong
            found += [line] if line else []
    except csv.Error as error:
        problems.append(f"the bill cannot be read as CSV: {error}")
    if not problems and not found:
        problems.append("the bill has no lines")
    if problems:
        more = [f"and {len(problems) - MAX_PROBLEMS} more rows that cannot be read"] if len(problems) > MAX_PROBLEMS else []
        raise SpecError([*problems[:MAX_PROBLEMS], *more])
    return tuple(found)


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Every row with the line of the file on which it begins."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    begins = 1
    for row in reader:
        yield begins, row
        begins = reader.line_num + 1


def _columns(header: list[str]) -> dict[str, int]:
    names = [name.strip().lower() for name in header]
    missing = [name for name in _NEEDED if name not in names]
    twice = [name for name in _COLUMNS if names.count(name) > 1]
    if missing or twice:
        says = f"has no column {' and no column '.join(missing)}" if missing else f"has the column {twice[0]} twice"
        raise SpecError([f"line 1: the bill {says}; it has {', '.join(n for n in names if n) or 'none'}"])
    return {name: names.index(name) for name in _COLUMNS if name in names}


def _line(number: int, row: list[str], columns: dict[str, int]) -> tuple[BillLine | None, list[str]]:
    """One row as a line of the bill, or why not."""
    problems: list[str] = []
    cells = {name: row[at].strip() if at < len(row) else "" for name, at in columns.items()}

    def wrong(column: str, why: str) -> None:
        problems.append(f"line {number}, column {column}: {why}")

    if not cells["vendor_id"]:
        wrong("vendor_id", "is empty")
    elif not cells["vendor_id"].isprintable():
        wrong("vendor_id", f"{cells['vendor_id']!r} has characters that cannot be printed")
    amount = _amount(cells["amount_usd"])
    if amount is None:
        wrong("amount_usd", f"{cells['amount_usd']!r} is no amount in dollars")
    billed_at = None
    if cells.get("date"):
        billed_at = _date(cells["date"])
        if billed_at is None:
            wrong("date", f"{cells['date']!r} is no date; write YYYY-MM-DD, or with a time")
    if problems or amount is None:
        return None, problems
    return BillLine(line=number, vendor_id=cells["vendor_id"], amount=amount, billed_at=billed_at), []


def _amount(text: str) -> Micros | None:
    found = _AMOUNT.fullmatch(text)
    if found is None or bool(found["open"]) != bool(found["close"]):
        return None
    signs = sum(1 for name in ("open", "minus", "minus2") if found[name])
    usd = Decimal(found["number"].replace(",", ""))
    if signs > 1 or usd > _MOST:
        return None
    exact = int((usd * USD).to_integral_value(ROUND_HALF_EVEN))
    return -exact if signs else exact


def _date(text: str) -> datetime | None:
    """A date or a time; without a zone it is UTC, as vendors bill."""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
