"""What one request may weigh, and how many jobs one person may order in a minute."""

from __future__ import annotations

from datetime import timedelta

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aiprod.catalog import Catalog
from aiprod.ledger import Ledger, owners
from aiprod.ledger.engine import now as database_now
from aiprod_airflow.api.problems import problem

__all__ = ["MAX_BODY", "BodyLimit", "not_too_many"]

MAX_BODY = 1_000_000
_WINDOW = timedelta(minutes=1)


class BodyLimit:
    """Refuses a body of more than a megabyte: by what its head says, else as soon as so much has come."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        told = dict(scope["headers"]).get(b"content-length", b"")
        if told.isdigit() and (len(told) > 9 or int(told) > MAX_BODY):
            return await problem(413, _TOO_MUCH)(scope, receive, send)
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MAX_BODY:
                raise HTTPException(413, _TOO_MUCH)
            return message

        await self.app(scope, counted, send)


_TOO_MUCH = f"a request is at most {MAX_BODY:,} bytes"


def not_too_many(ledger: Ledger, catalog: Catalog, name: str) -> None:
    """Raise 429 when a person has ordered as many new jobs in the last minute as they may. Every api-server counts alike."""
    with ledger.read() as conn:
        ordered = owners.entered_since(conn, name, database_now(conn) - _WINDOW)
    limit = catalog.access.orders_per_minute
    if ordered >= limit:
        wait = str(int(_WINDOW.total_seconds()))
        raise HTTPException(429, f"{name} ordered {ordered} jobs within a minute; {limit} are allowed", {"Retry-After": wait})
