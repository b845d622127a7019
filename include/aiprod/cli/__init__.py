"""`aiprod`: the library from a shell. Each command says what it did, or in one line why not."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from typer import Abort

from aiprod import logs
from aiprod.cli.commands import WrongUsage, program
from aiprod.cli.troubles import REFUSED, lines_of

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code, as `aiprod --help` lists them. Raises `SystemExit(2)` for wrong usage."""
    logs.warn_plainly()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = program().main(words or ["--help"], prog_name="aiprod", standalone_mode=False)
    except WrongUsage as error:
        where = getattr(getattr(error, "ctx", None), "command_path", "aiprod")
        print(f"{where}: {error.format_message()}\n`{where} --help` says more", file=sys.stderr)
        raise SystemExit(2) from None
    except Abort:
        print("aiprod: nothing was done", file=sys.stderr)
        return REFUSED
    except Exception as error:
        trouble = lines_of(error)
        if trouble is None:
            raise
        for line in trouble.lines:
            print(f"aiprod: {line}", file=sys.stderr)
        return trouble.code
    if not words:
        raise SystemExit(2)
    return code or 0
