"""Who gives a command: `--by`, or the name of the operating system's user."""

from __future__ import annotations

import argparse
import os
import pwd

__all__ = ["add_by"]


def add_by(parser: argparse.ArgumentParser) -> None:
    """Add `--by` to a command that is written down with a name."""
    parser.add_argument("--by", metavar="WHO", default=_user(), type=_name, help="who says so (default: the user of this shell)")


def _user() -> str:
    """The user's name; containers may run under a number that has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def _name(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("must name somebody")
    return " ".join(text.split())
