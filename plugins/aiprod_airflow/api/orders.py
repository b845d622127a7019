"""Jobs over HTTP: order, look, edit, make again."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import Field

from aiprod.editing import Edited, ManifestEdit
from aiprod.errors import JobUnknown
from aiprod.ledger import jobs
from aiprod.ledger.jobs import Priced
from aiprod.models import BEFORE_MONEY, MAX_SHOTS, JobFilter, JobSpec, JobStatus, Noun, ShotSpec, fingerprint
from aiprod.ordering import Entered
from aiprod.pipeline import Pipeline
from aiprod.views import JobCosts, JobPage, JobView
from aiprod_airflow.api.access import WRITE, Caller, Job, Orders, Who
from aiprod_airflow.api.limits import not_too_many
from aiprod_airflow.api.rest import Airflow, AirflowClient

__all__ = ["Known", "Version", "place", "router", "told", "version_at"]

router = APIRouter(tags=["Jobs"])

#: No job has more versions, and no database's integer is smaller.
Version = Annotated[int, Field(ge=1, le=1_000_000)]
version_at = Query(ge=1, le=1_000_000, description="A version of the job; without one, the newest that has it.")
#: What a caller has already, by its ETag.
Known = Annotated[str | None, Header(alias="If-None-Match", max_length=1_000)]
_text = {"max_length": 200, "pattern": r"^[^\x00]*$"}


class NewManifest(ManifestEdit):
    """An edited manifest, and the version that was edited."""

    base_version: Version


class Redo(Noun):
    """Which shots to make again, from which version, and what to change in them."""

    base_version: Version
    shots: Annotated[tuple[Annotated[int, Field(ge=1, le=MAX_SHOTS)], ...], Field(min_length=1, max_length=MAX_SHOTS)]
    changes: dict[Annotated[int, Field(ge=1, le=MAX_SHOTS)], ShotSpec] | None = None


def told(noun: Noun, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a noun as JSON; a job with its revision as ETag."""
    tagged = {"ETag": f'"{noun.revision}"'} if isinstance(noun, JobView) else {}
    return Response(noun.model_dump_json(), status, {**tagged, **(headers or {})}, "application/json")


@router.post("/job/create", status_code=201, response_model=JobView, dependencies=[WRITE], responses={200: {"model": JobView}})
async def create(
    spec: JobSpec,
    request: Request,
    caller: Who,
    orders: Orders,
    airflow: Airflow,
    idempotency_key: Annotated[str | None, Header(alias="Idempotency-Key", max_length=200)] = None,
) -> Response:
    """Order a video. The same order again under the same name (`job_id`, else `Idempotency-Key`) is the same job (200).

    Another order under a used `job_id` is a conflict. A job whose run could not be started is started by the same order again.
    """
    new, view = await place(spec, caller, orders, airflow, key=idempotency_key)
    where = {"Location": f"{request.scope.get('root_path', '')}/job/{view.job_id}"}
    return told(view, status=201 if new else 200, headers=where)


async def place(
    spec: JobSpec, caller: Caller, orders: Pipeline, airflow: AirflowClient, *, key: str | None
) -> tuple[bool, JobView]:
    """Enter an order and start its run; return whether it is new, and the job. With the same `key` it is the same job."""
    job_id = spec.job_id or _named(caller, key)
    entered = await run_in_threadpool(_enter, orders, caller, spec, job_id)
    view = await run_in_threadpool(orders.view, job_id)
    await _started(airflow, view)
    return entered.new, view


def _named(caller: Caller, key: str | None) -> str:
    """A name that the same caller's same key gives again, or a new one."""
    if key is None:
        return f"job-{secrets.token_hex(6)}"
    return f"job-{fingerprint([caller.name, key])[:24]}"


def _enter(orders: Pipeline, caller: Caller, spec: JobSpec, job_id: str) -> Entered:
    with orders.ledger.read() as conn:
        known = jobs.known(conn, job_id)
    if not known:
        not_too_many(orders.ledger, orders.catalog, caller.name)
    return orders.enter(spec.model_dump(mode="json"), job_id=job_id, by=caller.name)


async def _started(airflow: AirflowClient, view: JobView) -> None:
    """Start the run of the newest version, unless one carries it or did, or `dispatch` will. Raises 503 when Airflow cannot.

    A run of an older version may still be putting its things away: it is in nobody's way.
    """
    # Later a run's settling, or a person's no, says that none is wanted.
    if view.status not in BEFORE_MONEY or view.waits is not None or any(run.version == view.version for run in view.runs):
        return
    # The id alone: a run's conf is seen by whoever sees runs, in whatever project, and stays when a job is erased.
    await airflow.start(f"{view.job_id}.v{view.version}" if view.runs else view.job_id, {"batch": [view.job_id]})


@router.get("/job/{job_id}", response_model=JobView, responses={304: {"description": "Nothing changed."}})
def look(job_id: Job, orders: Orders, if_none_match: Known = None) -> Response:
    """Return everything about a job. Its `ETag` is its revision: with `If-None-Match`, 304 while nothing changed."""
    if if_none_match and f'"{orders.revisions([job_id]).get(job_id)}"' in if_none_match:
        return Response(status_code=304, headers={"ETag": if_none_match})
    return told(orders.view(job_id))


@router.get("/jobs", response_model=JobPage)
def listed(
    caller: Who,
    orders: Orders,
    status: Annotated[list[JobStatus] | None, Query(description="Any of these.")] = None,
    project: Annotated[str | None, Query(**_text)] = None,
    preset: Annotated[str | None, Query(**_text)] = None,
    campaign: Annotated[str | None, Query(**_text)] = None,
    created_by: Annotated[str | None, Query(**_text)] = None,
    q: Annotated[str, Query(description="Looked for in ids and prompts.", **_text)] = "",
    before: Annotated[str | None, Query(description="The `next` of the page before.", **_text)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Return a page of the jobs the caller may see, newest first."""
    wanted = JobFilter(
        statuses=tuple(status or ()),
        project=project,
        preset=preset,
        campaign=campaign,
        created_by=created_by,
        text=q,
        hidden_projects=orders.catalog.access.hidden_from(caller.name),
    )
    return told(orders.listing(wanted, before=before, limit=limit))


@router.get("/job/{job_id}/manifest", response_model=Priced)
def manifest(job_id: Job, orders: Orders, version: Annotated[int | None, version_at] = None) -> Response:
    """Return a manifest version with its estimate."""
    with orders.ledger.read() as conn:
        wanted = version or jobs.latest(conn, job_id)
        if wanted not in jobs.versions(conn, job_id):
            raise JobUnknown(f"job {job_id} has no version {wanted}")
        return told(jobs.priced(conn, job_id, wanted))


@router.post("/job/{job_id}/manifest", response_model=Edited, dependencies=[WRITE])
def edit(job_id: Job, change: NewManifest, caller: Who, orders: Orders) -> Response:
    """Edit the shot list while the money is not approved: a new version, priced at once, to be approved anew."""
    wanted = ManifestEdit.model_validate(change.model_dump(exclude={"base_version"}))
    return told(orders.edit(job_id, wanted, base_version=change.base_version, by=caller.name))


@router.post("/job/{job_id}/redo", status_code=201, response_model=JobView, dependencies=[WRITE])
async def redo(job_id: Job, wanted: Redo, caller: Who, orders: Orders, airflow: Airflow) -> Response:
    """Make some shots again in a new version: accepted takes of the others are used again and cost nothing."""
    await run_in_threadpool(
        orders.redo, job_id, shots=wanted.shots, change=wanted.changes, base_version=wanted.base_version, by=caller.name
    )
    view = await run_in_threadpool(orders.view, job_id)
    await _started(airflow, view)
    return told(view, status=201)


@router.get("/job/{job_id}/costs", response_model=JobCosts)
def costs(job_id: Job, orders: Orders) -> Response:
    """Return what every purchase of a job was quoted and charged, and the sums."""
    return told(orders.costs_of_job(job_id))
