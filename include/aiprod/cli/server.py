"""Which running AIPROD a command asks, and as whom."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from aiprod import settings
from aiprod.cli.commands import Server
from aiprod.client import Client
from aiprod.errors import ApiUnreachable, SpecError

if TYPE_CHECKING:
    from aiprod.pipeline import Pipeline

__all__ = ["Job", "Local", "asked", "client", "here"]

#: The argument and the option that commands about one job share.
Job = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]
Local = Annotated[bool, typer.Option("--local", help="On the ledger of this machine, without a server.")]


def asked(context: typer.Context) -> bool:
    """Whether a server is named at all."""
    return bool(_server(context).url or settings.api_url())


def client(context: typer.Context) -> Client:
    """Return a client for the server that was named. Raises `ApiUnreachable` when none is."""
    server = _server(context)
    url = server.url or settings.api_url()
    if not url:
        raise ApiUnreachable(
            "no running AIPROD is named: set AIPROD_API_URL, or say for example `aiprod --api http://localhost:8080 …`"
        )
    user = server.user or settings.api_user()
    token = _token(server)
    password = "" if token else _password(user)
    return Client(url, token=token, user=user, password=password)


def here() -> Pipeline:
    """Return the library on the ledger of this machine; only who does without a server loads it."""
    from aiprod.pipeline import Pipeline

    return Pipeline()


def _server(context: typer.Context) -> Server:
    return context.find_object(Server) or Server()


def _token(server: Server) -> str:
    if server.token_file is not None:
        try:
            return server.token_file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise SpecError([f"--token-file {server.token_file}: {getattr(error, 'strerror', None) or 'is no text'}"]) from None
    # Who says a name wants to be that one, whatever token lies around.
    return "" if server.user else settings.api_token()


def _password(user: str) -> str:
    known = settings.api_password()
    if not user or known or not sys.stdin.isatty():
        return known
    return str(typer.prompt(f"Password of {user}", hide_input=True, err=True))
