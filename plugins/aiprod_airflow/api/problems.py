"""Every error in one shape: RFC 9457 problem details, with the fields that are wrong."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from aiprod.errors import (
    AiprodError,
    BackendError,
    ConfigError,
    JobConflict,
    JobFailed,
    JobMoved,
    JobUnknown,
    MoneyError,
    NotAMember,
    SamePerson,
    SpecError,
    StorageError,
)
from aiprod.ledger import DatabaseError
from aiprod.models import MAX_PROBLEMS, Noun

__all__ = ["FieldProblem", "Problem", "install", "problem"]

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

#: The most special class decides. What is not named here is a fault of ours, or of this installation.
_STATUS: dict[type[Exception], int] = {
    JobUnknown: 404,
    JobMoved: 409,
    NotAMember: 403,
    SamePerson: 403,
    JobConflict: 409,
    JobFailed: 409,
    MoneyError: 409,
    SpecError: 422,
    BackendError: 502,
    StorageError: 503,
    ConfigError: 503,
    DatabaseError: 503,
}

#: `shots.0.seconds: must be …`; a line without a field is about the whole request.
_LINE = re.compile(r"(?P<field>[A-Za-z_][\w.-]*): (?P<message>.+)", re.DOTALL)


class FieldProblem(Noun):
    """One thing that is wrong with a request; `field` is its path (`shots.0.seconds`), empty for all of it."""

    field: str
    message: str


class Problem(Noun):
    """What every error answer holds (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: tuple[FieldProblem, ...] = ()


def problem(
    status: int,
    detail: str,
    *,
    kind: str = "about:blank",
    errors: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an error as every client of ours reads it."""
    said = Problem(type=kind, title=HTTPStatus(status).phrase, status=status, detail=detail, errors=tuple(errors))
    # Escaped: half a surrogate pair in somebody's field name is text that UTF-8 does not know.
    return Response(json.dumps(said.model_dump()), status, dict(headers or {}), MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Let an application answer every error as a problem."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(AiprodError, _ours)
    app.add_exception_handler(DatabaseError, _ours)
    app.add_exception_handler(Exception, _unforeseen)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.UNAUTHORIZED:
        headers.setdefault("WWW-Authenticate", "Bearer")
    return problem(error.status_code, str(error.detail), headers=headers)


def _malformed(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
    # A list whose items are wrong is also reported as too short: once the bad ones are gone.
    inside = {tuple(one["loc"][:2]) for one in error.errors() if len(one["loc"]) > 2}
    told = [one for one in error.errors() if not (one["type"] == "too_short" and tuple(one["loc"]) in inside)]
    found = [_field(one) for one in told]
    left = len(found) - MAX_PROBLEMS
    more = [FieldProblem(field="", message=f"… and {left} more problems")] if left > 0 else []
    kept = [*found[:MAX_PROBLEMS], *more]
    return problem(422, "; ".join(_sentence(one) for one in kept), kind="urn:aiprod:malformed", errors=kept)


def _field(error: Mapping[str, Any]) -> FieldProblem:
    """One of pydantic's errors, where it is and what is wrong there, without what was sent."""
    place = [part for part in error["loc"] if part not in ("body", "query", "path", "header")]
    # Names of unknown fields come from outside: they stay on their line, and short.
    where = ".".join(str(part) if str(part).isidentifier() or isinstance(part, int) else ascii(part)[:60] for part in place)
    if error["type"] == "json_invalid":
        return FieldProblem(field="", message="the body is not JSON")
    message = str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")
    return FieldProblem(field=where, message="unknown field" if error["type"] == "extra_forbidden" else message)


def _sentence(one: FieldProblem) -> str:
    return f"{one.field}: {one.message}" if one.field else one.message


def _ours(request: Request, error: Exception) -> Response:
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 503)
    kind = f"urn:aiprod:{re.sub(r'(?<!^)(?=[A-Z])', '-', type(error).__name__).lower()}"
    if isinstance(error, SpecError):
        fields = [_told(line) for line in error.problems]
        return problem(status, "; ".join(error.problems), kind=kind, errors=fields)
    if isinstance(error, DatabaseError):
        # Its own words may hold rows and addresses.
        return problem(status, "the ledger cannot be reached now; try again", kind="urn:aiprod:ledger-unreachable")
    if isinstance(error, StorageError):
        # Its own words may hold paths and addresses.
        log.error("%s", error)
        return problem(status, "a file cannot be read now; the api-server's log says which and why", kind=kind)
    return problem(status, str(error), kind=kind)


def _told(line: str) -> FieldProblem:
    found = _LINE.fullmatch(line)
    return FieldProblem(field=found["field"], message=found["message"]) if found else FieldProblem(field="", message=line)


def _unforeseen(request: Request, error: Exception) -> Response:
    """A fault of ours. The api-server's log has it; whoever asked learns nothing about the inside."""
    return problem(500, "something went wrong inside; the api-server's log says what")
