"""Who asks, and what they may: Airflow's own users, tokens and DAG permissions, on every route."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag, resolve_user_from_token
from airflow.configuration import conf
from fastapi import Depends, HTTPException, Path, WebSocket
from fastapi.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from aiprod.catalog import Catalog
from aiprod.errors import JobUnknown
from aiprod.ledger import Ledger, owners
from aiprod.pipeline import Pipeline
from aiprod_airflow.pipelines import serving_pipeline

__all__ = [
    "DAG",
    "ERASE",
    "PARKED",
    "READ",
    "WRITE",
    "Caller",
    "Job",
    "Orders",
    "Who",
    "own_origin",
    "socket_caller",
    "visible",
]

DAG = "render_video"

_read = requires_access_dag("GET", DagAccessEntity.RUN, DAG)
#: Looks; the router asks it of every route.
READ = Depends(_read)
#: Orders, answers and stops: whoever may start a run of the DAG.
WRITE = Depends(requires_access_dag("POST", DagAccessEntity.RUN, DAG))
#: Says what became of a parked purchase.
PARKED = Depends(requires_access_dag("POST", DagAccessEntity.RUN, "parked"))
#: Deletes a job's files and words.
ERASE = Depends(requires_access_dag("DELETE", DagAccessEntity.RUN, DAG))

#: What a job id can look like. Anything else names no job, and is not worth a question to the ledger.
_JOB_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,127}")
_SAFE = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Caller:
    """Who asks, by the name they log in with: the same that the ledger keeps."""

    name: str


async def _caller(user: GetUserDep) -> Caller:
    return Caller(user.get_name())


Who = Annotated[Caller, Depends(_caller)]
#: The library over this process's ledger and catalogue.
Orders = Annotated[Pipeline, Depends(serving_pipeline)]


def visible(ledger: Ledger, catalog: Catalog, caller: Caller, job_id: str) -> str:
    """Return the job's id. Raises `JobUnknown` for a job that is not there, or is in somebody else's project."""
    if _JOB_ID.fullmatch(job_id):
        with ledger.read() as conn:
            project = owners.project_of(conn, job_id)
        if project is not None and project not in catalog.access.hidden_from(caller.name):
            return job_id
    raise JobUnknown(f"there is no job {job_id[:128]}")


def _job(job_id: Annotated[str, Path(description="The job's id.")], caller: Who, orders: Orders) -> str:
    return visible(orders.ledger, orders.catalog, caller, job_id)


#: The id of a job that the caller may see.
Job = Annotated[str, Depends(_job)]


def own_origin(connection: HTTPConnection) -> None:
    """Raise 403 for what another site's page makes a browser send along with its user's cookie.

    Reading is safe: no other origin is shown the answer. A WebSocket is not, so it is always looked at.
    """
    if connection.scope["type"] == "http" and connection.scope["method"] in _SAFE:
        return
    origin = connection.headers.get("origin")
    if origin is None:
        if "authorization" not in connection.headers and COOKIE_NAME_JWT_TOKEN in connection.cookies:
            raise HTTPException(403, "a cookie is taken only from Airflow's own pages; programs send a bearer token")
    elif origin not in _configured_origins() and urlsplit(origin).netloc != connection.headers.get("host"):
        raise HTTPException(403, "this request comes from a page of another site")


def _configured_origins() -> set[str]:
    """The address people reach Airflow at, behind a proxy too, and the sites its configuration lets in."""
    base = urlsplit(conf.get("api", "base_url", fallback=""))
    listed = conf.get("api", "access_control_allow_origins", fallback="").replace(",", " ").split()
    return {f"{base.scheme}://{base.netloc}", *listed} - {"://", "*"}


async def socket_caller(socket: WebSocket) -> Caller:
    """Return who opens a WebSocket. Raises `HTTPException` as a request would: the handshake's dependencies cannot."""
    own_origin(socket)
    scheme, _, token = socket.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        token = socket.cookies.get(COOKIE_NAME_JWT_TOKEN, "")
    user = await resolve_user_from_token(token)
    # May ask a database, or another service.
    await run_in_threadpool(_read, socket, user)  # type: ignore[arg-type]
    return Caller(user.get_name())
