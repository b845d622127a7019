"""`aiprod emulate`: the paid vendors as local servers, for who has no keys or does not want to pay."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiprod.cli.jobs import Commands

__all__ = ["add"]

_DESCRIPTION = """Serve Runway, Veo on Vertex with its bucket, and Replicate on one port of loopback until stopped, and print
what to export so that jobs are bought there. What goes wrong is ordered in a prompt, `[[runway=fail]]`, or here for every
request: `--rule runway=fail`. The words are listed in aiprod.emulators.orders."""
#: Options that are handed on as they came. What they mean is the emulators' business.
_REPEATED = ("rule", "price", "key")


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    emulate = commands.add_parser("emulate", help="the paid vendors as local servers", description=_DESCRIPTION)
    emulate.add_argument("--port", type=int, default=8911, help="0: any free one (default: 8911)")
    emulate.add_argument("--folder", help="where films, the key file and the books are kept (default: a temporary one)")
    emulate.add_argument("--books", metavar="FILE", help="what was accepted, and every fault (default: in the folder)")
    emulate.add_argument("--rule", action="append", default=[], metavar="BACKEND=WORDS", help="what goes wrong")
    emulate.add_argument("--price", action="append", default=[], metavar="BACKEND[/MODEL]=USD", help="per second")
    emulate.add_argument("--key", action="append", default=[], metavar="BACKEND=KEY", help="what a vendor wants as its key")
    emulate.add_argument(
        "--seconds-per-render", type=float, default=0.0, metavar="S", help="how long a render takes (default: 0)"
    )
    emulate.add_argument(
        "--monitoring", type=int, metavar="PORT", help="serve Google Cloud Monitoring there, too; 0: any free one"
    )
    emulate.set_defaults(run=_emulate)


def _emulate(args: argparse.Namespace) -> None:
    """Become the emulators: this library and they share nothing, not even a process."""
    command = [sys.executable, "-m", "aiprod.emulators", *_handed_on(args)]
    sys.stdout.flush()
    # Our own program with the caller's own arguments, and no shell.
    os.execv(sys.executable, command)  # noqa: S606


def _handed_on(args: argparse.Namespace) -> list[str]:
    given = [f"--port={args.port}", f"--seconds-per-render={args.seconds_per_render}"]
    given += [f"--{name}={value}" for name in ("folder", "books", "monitoring") if (value := getattr(args, name)) is not None]
    return given + [f"--{name}={value}" for name in _REPEATED for value in getattr(args, name)]
