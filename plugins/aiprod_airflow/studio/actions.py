"""What people do on a job's page: the API's own answers, given by a form and answered by the page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from aiprod.editing import ManifestEdit
from aiprod.models import refused
from aiprod.pipeline import Pipeline
from aiprod_airflow.api import answers
from aiprod_airflow.api import orders as ordering
from aiprod_airflow.api.access import WRITE, Caller, Job, Orders, Who
from aiprod_airflow.api.answers import Approval, Rejection
from aiprod_airflow.api.orders import Redo
from aiprod_airflow.api.rest import Airflow
from aiprod_airflow.studio.forms import Form, Typed, edit_of, whole_number
from aiprod_airflow.studio.jobs import job_page
from aiprod_airflow.studio.people import May, Permits
from aiprod_airflow.studio.refusals import REFUSED, PageRoute, problem_of
from aiprod_airflow.studio.rendering import PATH, page

__all__ = ["router"]

router = APIRouter(route_class=PageRoute, dependencies=[WRITE], include_in_schema=False)

_Noun = TypeVar("_Noun", Approval, Rejection, Redo)
_JOB = PATH + "/job/{job_id}"


@router.post(_JOB + "/approve")
async def approve(job_id: Job, form: Form, request: Request, caller: Who, orders: Orders, airflow: Airflow, may: May) -> Response:
    """Approve exactly the amount, or the video, that the page showed."""

    async def act() -> None:
        said = _parsed(Approval, {**_seen(form), **({} if form.one("cut_sha") else {"amount": whole_number(form, "amount")})})
        await answers.approve(job_id, said, request, caller, orders, airflow)

    return await _answered(act, job_id, request, caller, orders, may)


@router.post(_JOB + "/reject")
async def reject(job_id: Job, form: Form, request: Request, caller: Who, orders: Orders, airflow: Airflow, may: May) -> Response:
    """Refuse the money, or the video, that the page showed."""

    async def act() -> None:
        seen = _seen(form)
        seen |= {} if form.one("cut_sha") else {"amount": whole_number(form, "amount")}
        await answers.reject(job_id, _parsed(Rejection, {**seen, "why": form.one("why")}), request, caller, orders, airflow)

    return await _answered(act, job_id, request, caller, orders, may)


@router.post(_JOB + "/cancel")
async def cancel(job_id: Job, request: Request, caller: Who, orders: Orders, airflow: Airflow, may: May) -> Response:
    """Buy nothing more for a job."""

    async def act() -> None:
        await answers.cancel(job_id, request, caller, orders, airflow)

    return await _answered(act, job_id, request, caller, orders, may)


@router.post(_JOB + "/manifest")
async def edit(job_id: Job, form: Form, request: Request, caller: Who, orders: Orders, may: May) -> Response:
    """Write a new version of the shot list; it is priced at once and asked about anew."""

    async def act() -> None:
        base = whole_number(form, "version")
        change = ManifestEdit.parse(edit_of(form))
        await run_in_threadpool(orders.edit, job_id, change, base_version=base, by=caller.name)

    return await _answered(act, job_id, request, caller, orders, may)


@router.post(_JOB + "/price")
async def price(job_id: Job, form: Form, request: Request, orders: Orders) -> Response:
    """What the edit would change in the price, as a part of the page. Writes nothing; what is wrong is part of the answer."""
    try:
        change, version = ManifestEdit.parse(edit_of(form)), whole_number(form, "version")
        found = await run_in_threadpool(orders.reprice, job_id, change, base_version=version)
    except REFUSED as error:
        return page(request, "price.html", price=None, told=await problem_of(request, error))
    return page(request, "price.html", price=found, version=version, told=None)


@router.post(_JOB + "/redo")
async def redo(job_id: Job, form: Form, request: Request, caller: Who, orders: Orders, airflow: Airflow, may: May) -> Response:
    """Make the ticked shots again in a new version."""

    async def act() -> None:
        shots = [int(said) for said in form.all("shot") if said.isascii() and said.isdigit()]
        wanted = _parsed(Redo, {"base_version": whole_number(form, "version"), "shots": shots})
        await ordering.redo(job_id, wanted, caller, orders, airflow)

    return await _answered(act, job_id, request, caller, orders, may)


def _seen(form: Typed) -> dict[str, object]:
    return {"version": whole_number(form, "version"), "cut_sha": form.one("cut_sha") or None}


def _parsed(noun: type[_Noun], raw: dict[str, object]) -> _Noun:
    try:
        return noun.model_validate(raw)
    except ValidationError as error:
        raise refused(raw, error) from None


async def _answered(
    act: Callable[[], Awaitable[None]], job_id: str, request: Request, caller: Caller, orders: Pipeline, may: Permits
) -> Response:
    """Do it and go back to the job; what was refused is said on the job's page as it is now."""
    try:
        await act()
    except REFUSED as error:
        return await job_page(request, caller, orders, may, job_id, await problem_of(request, error))
    return RedirectResponse(f"{request.scope.get('root_path', '')}{PATH}/job/{job_id}", 303)
