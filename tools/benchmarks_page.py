"""docs/benchmarks.md from the results in var/: `python -m tools.benchmarks_page`; losses stand first."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tools.airflow_env import CHECKOUT
from tools.benchmark_figures import Row
from tools.benchmark_rows import SOURCES, Source

__all__ = ["main", "page"]

PAGE = CHECKOUT / "docs" / "benchmarks.md"
#: Words that stay on the page whatever was measured.
METHOD = CHECKOUT / "benchmarks" / "method.md"
_HEAD = "| what | ours | peer, or limit | ours ÷ theirs | spread | |"
_WORDS = {"better": "better", "even": "even", "worse": "**worse**", "kept": "kept", "missed": "**missed**", "": ""}
_BAD = ("worse", "missed")


def main(argv: list[str]) -> int:
    """Write the page; return 1 when a report is not as its benchmark writes it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=CHECKOUT / "var", help="the folder that holds bench/, load/ and safety/")
    parser.add_argument("--out", type=Path, default=PAGE)
    given = parser.parse_args(argv)
    try:
        text = page(given.results)
    except Unreadable as error:
        print(error, file=sys.stderr)
        return 1
    given.out.write_text(text, encoding="utf-8")
    print(given.out)
    return 0


class Unreadable(Exception):
    """A report that is not as its benchmark writes it."""


def page(results: Path, sources: Sequence[Source] = SOURCES) -> str:
    """Return the whole page; a report that is not there is said to be missing. Raises `Unreadable`."""
    found = {source: _read(results, source) for source in sources}
    parts = [
        "# Benchmarks",
        "Written by `python -m tools.benchmarks_page` from what the commands below left in `var/`; do not edit it. "
        "*Spread* is the least and the most of the rounds, ours first. *Better* and *worse* are said of a peer, *kept* and "
        "*missed* of a limit; within 5 % is *even*.",
        *_losses(found),
    ]
    for source, (rows, how) in found.items():
        parts += [f"## {source.title}", source.about]
        parts += [_table(rows), how] if rows else [f"*Not measured here.* `{source.command}` measures it."]
    return "\n\n".join([*parts, METHOD.read_text(encoding="utf-8").strip()]) + "\n"


def _read(results: Path, source: Source) -> tuple[list[Row], str]:
    """The rows of one report, and how they came about."""
    path = next((results / one for one in source.paths if (results / one).exists()), None)
    if path is None:
        return [], ""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        return list(source.rows(report)), _how(report, path, source)
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"{path} is not as `{source.command}` writes it: {type(error).__name__}: {error}") from None


def _how(report: dict[str, Any], path: Path, source: Source) -> str:
    """Command, date and machine; what a report does not say is taken from the file, and said so."""
    told = report.get("measured", {})
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    date = told["at"][:10] if "at" in told else f"file of {written:%Y-%m-%d}"
    parts = [f"`{told.get('command', source.command)}`", date]
    parts += [str(told["machine"])] if "machine" in told else ["machine not recorded"]
    parts += [f"load {told['load']:g} at the end"] if "load" in told else []
    return "Measured: " + ", ".join(parts) + "."


def _losses(found: dict[Source, tuple[list[Row], str]]) -> Iterator[str]:
    rows = [(source, row) for source, (rows, _) in found.items() for row in rows]
    lost = [f"- {source.title}: {row.what}: {row.ours}, {row.other}" for source, row in rows if row.verdict in _BAD]
    missing = [source.title for source, (kept, _) in found.items() if not kept]
    yield "## Where we lose"
    yield "\n".join(lost) if lost else "Nowhere, in what was measured." if rows else "Nothing was measured."
    yield f"Of {len(rows)} figures {len(lost)} are worse than a peer's or miss their limit." + (
        f" Not measured here: {', '.join(missing)}." if missing else ""
    )


def _table(rows: Sequence[Row]) -> str:
    lines = [_HEAD, "|---|---:|---|---:|---|---|"]
    for row in rows:
        cells = (row.what, row.ours, row.other, row.ratio, row.spread, _WORDS[row.verdict])
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
