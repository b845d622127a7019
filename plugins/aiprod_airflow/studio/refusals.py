"""Every error of a page as a page: what happened in plain words, and where to go from there."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, cast

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from aiprod.errors import AiprodError
from aiprod.ledger import DatabaseError
from aiprod_airflow.api.problems import Problem
from aiprod_airflow.studio.rendering import page

__all__ = ["REFUSED", "PageRoute", "problem_of"]

#: What a page explains. A fault of ours goes on to where the api-server logs it.
REFUSED = (HTTPException, RequestValidationError, AiprodError, DatabaseError)

_TITLES = {
    401: "Your session has ended",
    403: "You may not do this",
    404: "There is no such thing here",
    409: "It moved on",
    413: "That is too much at once",
    422: "Something is not right yet",
    429: "Slow down a little",
    503: "Something cannot be reached",
}


async def problem_of(request: Request, error: Exception) -> Problem:
    """Return an error in the very words in which the API tells it."""
    handlers = request.app.exception_handlers
    handler = next(handlers[kind] for kind in type(error).__mro__ if kind in handlers)
    answer = handler(request, error)
    answer = await answer if inspect.isawaitable(answer) else answer
    return Problem.model_validate(json.loads(bytes(cast("Response", answer).body)))


class PageRoute(APIRoute):
    """A route for people: what it refuses is a page too, under the same status."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner: Callable[[Request], Awaitable[Response]] = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await inner(request)
            except REFUSED as error:
                told = await problem_of(request, error)
                title = _TITLES.get(told.status, told.title)
                return page(request, "refused.html", trouble=told, title=title, here="")

        return handler
