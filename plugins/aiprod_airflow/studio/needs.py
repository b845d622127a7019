"""Everything that waits for a person, on one page: money, finished videos, and purchases nobody else can look up."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from aiprod import parking
from aiprod.models import NEEDS_YOU, JobFilter, JobStatus, refused
from aiprod.pipeline import Pipeline
from aiprod.views import JobView
from aiprod_airflow.api import parked as parked_api
from aiprod_airflow.api.access import PARKED, Caller, Orders, Who
from aiprod_airflow.api.parked import ParkedAnswer
from aiprod_airflow.api.problems import Problem
from aiprod_airflow.api.rest import Airflow, AirflowClient, Question
from aiprod_airflow.studio.forms import Form
from aiprod_airflow.studio.people import May, Permits
from aiprod_airflow.studio.refusals import REFUSED, PageRoute, problem_of
from aiprod_airflow.studio.rendering import PATH, page

__all__ = ["router"]

router = APIRouter(route_class=PageRoute, include_in_schema=False)

#: The DAG of bulk orders, and the beginning of those that are scheduled.
_BULK = "bulk_render"
#: As many as a person reads in one sitting; the list of jobs has the others.
_MOST = 20

#: The answers in the words of a person who looked at the vendor's page.
ANSWERS = {
    "ran": "It ran; I have the vendor’s id",
    "did_not_run": "It never ran",
    "write_off": "Nobody can tell; write it off",
    "file_gone": "Its file is gone",
}


@router.get(PATH + "/needs-you")
async def needs_you(request: Request, caller: Who, orders: Orders, airflow: Airflow, may: May) -> Response:
    """What waits for a person, what has waited longest at the bottom of each part."""
    return await _page(request, caller, orders, airflow, may)


@router.post(PATH + "/parked", dependencies=[PARKED])
async def answer(form: Form, request: Request, caller: Who, orders: Orders, airflow: Airflow, may: May) -> Response:
    """Say what became of a parked purchase. Its consequence stands beside the button."""
    try:
        raw = {name: form.one(name) or None for name in ("purchase_id", "answer", "vendor_id")}
        said = ParkedAnswer.model_validate({**raw, "why": form.one("why")})
        # May ask the vendor.
        await run_in_threadpool(parked_api.answer, said, caller, orders)
    except ValidationError as error:
        told = await problem_of(request, refused({}, error))
    except REFUSED as error:
        told = await problem_of(request, error)
    else:
        return RedirectResponse(f"{request.scope.get('root_path', '')}{PATH}/needs-you", 303)
    return await _page(request, caller, orders, airflow, may, told)


async def _page(
    request: Request, caller: Caller, orders: Pipeline, airflow: AirflowClient, may: Permits, trouble: Problem | None = None
) -> Response:
    asked = await airflow.questions(_BULK)
    return await run_in_threadpool(_made, request, caller, orders, may, asked, trouble)


def _made(
    request: Request, caller: Caller, orders: Pipeline, may: Permits, asked_there: list[Question] | None, trouble: Problem | None
) -> Response:
    hidden = orders.catalog.access.hidden_from(caller.name)
    found = orders.listing(JobFilter(statuses=tuple(NEEDS_YOU), hidden_projects=hidden), limit=_MOST)
    views = [orders.view(row.job_id) for row in found.jobs]
    return page(
        request,
        "needs.html",
        here="needs",
        may=may,
        caller=caller.name,
        trouble=trouble,
        money=[
            (row, v) for row, v in zip(found.jobs, views, strict=True) if v.approval and v.status == JobStatus.WAITING_APPROVAL
        ],
        videos=[(row, v) for row, v in zip(found.jobs, views, strict=True) if _reviewed(v)],
        more=found.next is not None,
        campaigns=asked_there,
        parked=parking.listed(orders.ledger, hidden_projects=hidden),
        answers=ANSWERS,
        consequence=parking.consequence,
    )


def _reviewed(view: JobView) -> bool:
    return view.review is not None and view.status == JobStatus.FINAL_APPROVAL
