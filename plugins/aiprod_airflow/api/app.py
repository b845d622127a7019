"""The application that Airflow's api-server mounts at `/aiprod`."""

from __future__ import annotations

import warnings
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from pydantic.warnings import UnsupportedFieldAttributeWarning

from aiprod_airflow.api import answers, campaigns, figures, limits, media, offers, orders, parked, problems, streams
from aiprod_airflow.api.access import ERASE, PARKED, READ, WRITE, own_origin
from aiprod_airflow.api.problems import Problem
from aiprod_airflow.studio import app as studio

__all__ = ["PREFIX", "create_app"]

PREFIX = "/aiprod"

_ABOUT = """Orders finished videos from paid AI backends: priced, approved, bought, judged, delivered.

Amounts are integer micro-dollars (1,000,000 = $1), times ISO 8601 in UTC; only an order says dollars (`budget_usd`).
Every request carries Airflow's own credential: `Authorization: Bearer <token>` from `POST /auth/token`, or its cookie.
"""

#: What a route asks of Airflow's permissions, the most special first.
_PERMISSIONS = (
    (ERASE, "DELETE runs of the DAG `render_video`"),
    (PARKED, "POST runs of the DAG `parked`"),
    (WRITE, "POST runs of the DAG `render_video`"),
    (READ, "GET runs of the DAG `render_video`"),
)

#: What any route may answer instead; a route's own come on top.
_TROUBLES = {
    401: "Nobody is logged in.",
    403: "The caller may not do this.",
    404: "There is no such thing, or none the caller may see.",
    409: "It moved on from what the caller saw.",
    413: "The request is too large.",
    422: "The request is wrong; `errors` says where.",
    429: "Too many new orders within a minute.",
    503: "Something that is needed cannot be reached now; send the same request again.",
}


def create_app() -> FastAPI:
    """Return the application. Its own documents are routes behind the login, like everything else."""
    app = FastAPI(
        title="AIPROD",
        version="1",
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        servers=[{"url": PREFIX}],
        root_path_in_servers=False,
        separate_input_output_schemas=False,
    )
    problems.install(app)
    app.add_middleware(limits.BodyLimit)
    # Closed by default: a route that asks for nothing more still asks for this.
    http = APIRouter(dependencies=[READ, Depends(own_origin)], responses=_troubles())
    for part in (orders, answers, campaigns, media, offers, parked, streams, figures):
        http.include_router(part.router)
    http.add_api_route("/openapi.json", _document, include_in_schema=False)
    http.include_router(studio.router)
    app.include_router(http)
    app.include_router(streams.sockets)
    _describe(app)
    return app


def _describe(app: FastAPI) -> None:
    """Make the document now, the shape of problems included: no route names that as its own answer."""
    with warnings.catch_warnings():
        # FastAPI silences it when a route is made; but our nouns, and so its adapters, are built when first used.
        warnings.simplefilter("ignore", UnsupportedFieldAttributeWarning)
        document = app.openapi()
    for route in app.routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            operation = document["paths"][route.path][next(iter(route.methods)).lower()]
            operation["x-permission"] = next((said for needed, said in _PERMISSIONS if needed in route.dependencies), "")
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    document["components"]["schemas"] |= {**problem.pop("$defs"), "Problem": problem}
    # FastAPI's own shape of a wrong request, which nobody gets here.
    for unused in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)


def _troubles() -> dict[int | str, dict[str, Any]]:
    content = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": says, "content": content} for status, says in _TROUBLES.items()}


async def _document(request: Request) -> Response:
    """The OpenAPI document of this very release."""
    return JSONResponse(request.app.openapi())
