"""Who gives a command: `--by`, or the name of the operating system's user."""

from __future__ import annotations

import os
import pwd
from typing import Annotated

import typer

__all__ = ["By"]


def _user() -> str:
    """The user's name; containers may run under a number that has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def _name(text: str) -> str:
    if not text.strip():
        raise typer.BadParameter("must name somebody")
    return " ".join(text.split())


#: The option of every command that is written down with a name.
By = Annotated[
    str,
    typer.Option("--by", metavar="WHO", callback=_name, default_factory=_user, show_default=False,
                 help="Who says so (default: the user of this shell)."),
]  # fmt: skip
