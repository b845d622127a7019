"""The pages about campaigns: how far each is, what it cost, and a word about it as a whole."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from aiprod.bulk import holding
from aiprod.ledger import campaign_progress
from aiprod.ledger.campaign_progress import Progress
from aiprod.pipeline import Pipeline
from aiprod_airflow.api.access import WRITE, Caller, Orders, Who
from aiprod_airflow.api.campaigns import WORDS, require_visible
from aiprod_airflow.api.problems import Problem
from aiprod_airflow.studio.forms import Form
from aiprod_airflow.studio.people import May, Permits
from aiprod_airflow.studio.refusals import REFUSED, PageRoute, problem_of
from aiprod_airflow.studio.rendering import PATH, page

__all__ = ["of_name", "router", "shown"]

router = APIRouter(route_class=PageRoute, include_in_schema=False)

#: More than anybody looks through; older ones are found by their name in the list of jobs.
_MOST = 50


def shown(orders: Pipeline, caller: Caller, *, limit: int = _MOST) -> list[Progress]:
    """Return the campaigns that the caller may see, the newest first."""
    with orders.ledger.read() as conn:
        return campaign_progress.progress(conn, hidden_projects=orders.catalog.access.hidden_from(caller.name), limit=limit)


def of_name(orders: Pipeline, caller: Caller, campaign: str) -> Progress | None:
    """Return a campaign, or None for one that is not there or that the caller may not see."""
    hidden = orders.catalog.access.hidden_from(caller.name)
    with orders.ledger.read() as conn:
        return next(iter(campaign_progress.progress(conn, campaign=campaign, hidden_projects=hidden)), None)


@router.get(PATH + "/campaigns")
def campaigns(
    request: Request,
    caller: Who,
    orders: Orders,
    may: May,
    ask: Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")] = "",
) -> Response:
    """Every campaign the caller may see. With `ask`, whether that one shall be cancelled."""
    return _page(request, caller, orders, may, ask=ask)


@router.post(PATH + "/campaigns", dependencies=[WRITE])
async def say(form: Form, request: Request, caller: Who, orders: Orders, may: May) -> Response:
    """Pause a campaign, take it up again, or cancel it."""
    name, word = form.one("campaign"), form.one("word")
    try:
        await run_in_threadpool(_say, orders, caller, name, word)
    except REFUSED as error:
        told = await problem_of(request, error)
        return await run_in_threadpool(_page, request, caller, orders, may, trouble=told)
    return RedirectResponse(f"{request.scope.get('root_path', '')}{PATH}/campaigns", 303)


def _say(orders: Pipeline, caller: Caller, name: str, word: str) -> None:
    require_visible(name, caller, orders)
    if word not in WORDS:
        raise HTTPException(422, "word: pause, resume or cancel")
    # Cancelling asks vendors to stop.
    holding.say(orders.ledger, orders.catalog, name, WORDS[word], by=caller.name)


def _page(
    request: Request, caller: Caller, orders: Pipeline, may: Permits, *, ask: str = "", trouble: Problem | None = None
) -> Response:
    found = shown(orders, caller)
    return page(
        request,
        "campaigns.html",
        here="jobs",
        may=may,
        trouble=trouble,
        campaigns=found,
        ask=next((one for one in found if one.campaign == ask and one.cancelled_by is None), None),
    )
