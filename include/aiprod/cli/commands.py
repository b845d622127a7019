"""The commands by name: one module per subject, loaded when one of its commands is given."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

if TYPE_CHECKING:
    from typer import BadParameter as WrongUsage
else:
    #: Whatever is wrong with the words of a command; typer has no public name for the base of its errors.
    WrongUsage = typer.BadParameter.__bases__[0]

__all__ = ["COMMANDS", "Server", "WrongUsage", "load", "program", "subject"]

_HELP = """Order finished videos from paid AI backends: never over budget, never billed twice.

Commands about jobs ask the running AIPROD that AIPROD_API_URL names, as AIPROD_API_TOKEN, or as AIPROD_API_USER with
AIPROD_API_PASSWORD. All others work on the ledger of this machine (AIPROD_DATABASE_URL); so do `job`, `jobs`, `costs` and
`cancel` with --local, and where no server is named.

Exit codes: 0 done, 1 refused or in trouble, 2 wrong usage, 3 not there or no server, 4 waits for a person, 130 interrupted
(a watched job goes on).

In files, amounts are in dollars as people write them; with --json they are in micro-dollars (1,000,000 = $1)."""

#: Paragraphs in help are broken where the terminal ends, not where the source does.
_MARKUP: Literal["markdown"] = "markdown"
_JOBS, _MONEY, _SETUP = "Jobs", "Money", "This installation"

#: Where each command is, under which heading it is listed, and what it is for. Nothing else is loaded for `--help`.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "submit": ("submitting", _JOBS, "order a video; --watch stays until it is there"),
    "watch": ("submitting", _JOBS, "follow a job until nothing can change any more"),
    "jobs": ("jobs", _JOBS, "list jobs, the newest first"),
    "job": ("jobs", _JOBS, "one job: state, shots, attempts, money, what it waits for"),
    "approve": ("answers", _JOBS, "allow the money that is asked for, or the finished video"),
    "reject": ("answers", _JOBS, "refuse the money, or the finished video"),
    "edit": ("changes", _JOBS, "change the shot list before the money is approved"),
    "redo": ("changes", _JOBS, "make named shots again; the others are used again at no cost"),
    "cancel": ("cancelling", _JOBS, "hold and send nothing more for a job, and ask its vendors to stop"),
    "download": ("jobs", _JOBS, "fetch the finished video, its poster or contact sheet"),
    "estimate": ("orders", _JOBS, "price an order without entering it"),
    "enlist": ("orders", _JOBS, "enter the jobs of a campaign, approved together; `dispatch` starts them"),
    "campaign": ("campaigns", _JOBS, "how a campaign stands, its report, and pausing, going on with or cancelling it"),
    "result": ("orders", _JOBS, "what became of a job, as JSON, from the ledger of this machine"),
    "costs": ("costs", _MONEY, "what was quoted and what was charged, per backend and model, or of one job"),
    "budget": ("budget", _MONEY, "caps, and the switch that stops all buying"),
    "bill": ("bills", _MONEY, "compare vendors' bills with what was bought"),
    "parked": ("parked", _MONEY, "purchases that wait for a person, and the person's answers"),
    "ledger": ("ledger", _MONEY, "the money ledger's database"),
    "reconcile": ("orders", _MONEY, "finish what nobody watched, once"),
    "backends": ("backends", _SETUP, "the video vendors: configured or not, healthy or not, models and prices"),
    "doctor": ("doctor", _SETUP, "is everything ready to buy: ledger, storage, and every backend; spends nothing"),
    "notices": ("notices", _SETUP, "what could not be told to whom, and why"),
    "alerts": ("notices", _SETUP, "alerts that were raised, the newest first"),
    "qa": ("qa", _SETUP, "measure a video file as a take would be, and say what is wrong with it"),
    "emulate": ("emulate", _SETUP, "the paid vendors as local servers"),
}


@dataclass(frozen=True)
class Server:
    """Which AIPROD was named before the command, and who asks it; what is empty comes from the environment."""

    url: str = ""
    user: str = ""
    token_file: Path | None = None


def _program(
    context: typer.Context,
    *,
    api: Annotated[str, typer.Option(metavar="URL", help="The running AIPROD to ask, instead of AIPROD_API_URL.")] = "",
    user: Annotated[str, typer.Option(metavar="NAME", help="Who asks, instead of AIPROD_API_USER.")] = "",
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A file that holds the token, instead of AIPROD_API_TOKEN.")
    ] = None,
) -> None:
    context.obj = Server(api, user, token_file)


def subject(what: str | None = None) -> typer.Typer:
    """Return an empty group of commands: a module's own, or with `what` one that people see."""
    made = typer.Typer(rich_markup_mode=_MARKUP) if what is None else typer.Typer(rich_markup_mode=_MARKUP, help=what)
    # Otherwise a group of one command is taken for that command.
    made.callback()(_nothing)
    return made


class _Lazy(TyperGroup):
    """A group whose commands are names until one of them is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] in COMMANDS:
            return args[0], load(args[0]), args[1:]
        return super().resolve_command(ctx, args)


def load(name: str) -> Any:
    """Return a command with its options, its module imported. Its name must be one of `COMMANDS`."""
    module = import_module(f"aiprod.cli.{COMMANDS[name][0]}")
    return get_group(module.app).commands[name]


@cache
def program() -> Any:
    """Return the whole program."""
    app = typer.Typer(cls=_Lazy, rich_markup_mode=_MARKUP)
    app.callback(help=_HELP, epilog="Example: aiprod submit examples/jobs/lighthouse.yaml --watch")(_program)
    for name, (_, panel, what) in COMMANDS.items():
        app.command(name, help=what, rich_help_panel=panel)(_nothing)
    return get_command(app)


def _nothing() -> None:
    # Stands for a command that is not loaded, and for what a group does before its command. No docstring: it would be help.
    return None
