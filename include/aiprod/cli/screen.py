"""What commands print: lines and tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from aiprod.cli.troubles import plain

__all__ = ["Json", "console", "line", "show_json", "table"]

#: The option of every command that programs may call.
Json = Annotated[bool, typer.Option("--json", help="For programs; amounts in micro-dollars, times in UTC.")]

#: Wide enough for any line: only a terminal has an edge to wrap at.
_NO_EDGE = 10_000


def console() -> Console:
    """Return where people read. Nothing in a text is markup: prompts are full of brackets."""
    edge = None if sys.stdout.isatty() else _NO_EDGE
    return Console(width=edge, markup=False, highlight=False, emoji=False)


def line(text: str = "") -> None:
    """Print one line for people, as long as it is."""
    print(plain(text))


def show_json(value: Any) -> None:
    """Print one value for programs."""
    print(json.dumps(value, indent=2))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Print rows under a header; the columns named in `right` are figures."""
    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in header:
        shown.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(plain(cell)) for cell in row))
    console().print(shown)
