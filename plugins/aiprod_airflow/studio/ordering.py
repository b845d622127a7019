"""The page on which a video is ordered, and the price that follows every keystroke."""

from __future__ import annotations

import secrets
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from aiprod import offering
from aiprod.models import JobSpec
from aiprod.pipeline import Pipeline
from aiprod_airflow.api import orders as ordering
from aiprod_airflow.api.access import WRITE, Caller, Orders, Who
from aiprod_airflow.api.problems import Problem
from aiprod_airflow.api.rest import Airflow
from aiprod_airflow.studio.forms import Form, Typed, order_of
from aiprod_airflow.studio.people import May, Permits
from aiprod_airflow.studio.refusals import REFUSED, PageRoute, problem_of
from aiprod_airflow.studio.rendering import PATH, page

__all__ = ["router"]

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_FRESH = Typed(preset=["quick_social"], audio=["on"], by=["prompt"])


@router.get(PATH + "/new")
async def new(request: Request, orders: Orders, may: May) -> Response:
    """An empty order."""
    return await _order_page(request, orders, may, _FRESH)


@router.post(PATH + "/new", dependencies=[WRITE])
async def order(form: Form, request: Request, caller: Who, orders: Orders, airflow: Airflow, may: May) -> Response:
    """Enter the order. The same page sent twice is one job: it carries its own key."""
    try:
        spec = JobSpec.parse(order_of(form))
        key = form.one("key")[:200] or None
        _, made = await ordering.place(spec, caller, orders, airflow, key=key)
    except REFUSED as error:
        return await _order_page(request, orders, may, form, await problem_of(request, error))
    return RedirectResponse(f"{request.scope.get('root_path', '')}{PATH}/job/{made.job_id}", 303)


@router.post(PATH + "/estimate")
async def estimate(form: Form, request: Request, caller: Who, orders: Orders) -> Response:
    """The price of what is typed so far, as a part of the page. Enters nothing; what is wrong is part of the answer."""
    raw = order_of(form)
    if not raw.get("prompt") and not raw.get("shots"):
        return page(request, "estimate.html", offer=None, told=None)
    try:
        offer = await run_in_threadpool(_offered, orders, caller, raw)
    except REFUSED as error:
        return page(request, "estimate.html", offer=None, told=await problem_of(request, error))
    return page(request, "estimate.html", offer=offer, told=None)


def _offered(orders: Pipeline, caller: Caller, raw: dict[str, Any]) -> offering.Offer:
    spec = JobSpec.parse(raw)
    orders.catalog.access.require_member(spec.project, caller.name)
    return offering.offer(orders.ledger, orders.catalog, spec)


async def _order_page(request: Request, orders: Pipeline, may: Permits, form: Typed, trouble: Problem | None = None) -> Response:
    wrong: dict[str, str] = {}
    for one in trouble.errors if trouble else ():
        wrong.setdefault(one.field, one.message)
    rows = max(1, len(form.all("shot_prompt")))
    return page(
        request,
        "new.html",
        here="new",
        may=may,
        form=form,
        wrong=wrong,
        trouble=trouble,
        rows=rows,
        key=form.one("key") or secrets.token_hex(12),
        presets=orders.catalog.presets,
        backends=orders.catalog.backends,
    )
