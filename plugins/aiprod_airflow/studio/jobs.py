"""The pages about jobs: all of them, one of them, and the one that a run of Airflow carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from aiprod.errors import JobUnknown
from aiprod.ledger import jobs as job_rows
from aiprod.ledger.campaign_progress import Progress
from aiprod.models import BEFORE_MONEY, NEEDS_YOU, OVER, REDOABLE, JobFilter, JobStatus, Micros
from aiprod.pipeline import Pipeline
from aiprod.views import JobView, ShotView
from aiprod_airflow.api.access import Caller, Job, Orders, Who, visible
from aiprod_airflow.api.problems import Problem
from aiprod_airflow.api.watching import seen
from aiprod_airflow.studio import campaigns
from aiprod_airflow.studio.people import May, Permits
from aiprod_airflow.studio.refusals import PageRoute
from aiprod_airflow.studio.rendering import PATH, page

__all__ = ["job_page", "router"]

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_PAGE = 50
#: Of the newest campaigns, how many are looked at whether they go on: more is a page of its own.
_GOING = 3
_text = {"max_length": 200, "pattern": r"^[^\x00]*$"}
#: The states that a person filters by, several of ours under one word.
_GROUPS: dict[str, tuple[str, tuple[JobStatus, ...]]] = {
    "": ("All", ()),
    "asks": ("Needs you", tuple(NEEDS_YOU)),
    "works": (
        "In progress",
        (JobStatus.CREATED, JobStatus.ESTIMATED, JobStatus.WAITING_BUDGET, JobStatus.RENDERING, JobStatus.SCORING),
    ),
    "delivered": ("Delivered", (JobStatus.DELIVERED,)),
    "failed": ("Failed", (JobStatus.FAILED,)),
    "closed": ("Closed", (JobStatus.REJECTED, JobStatus.CANCELLED, JobStatus.EXPIRED)),
}


@router.get(PATH)
def listed(
    request: Request,
    caller: Who,
    orders: Orders,
    may: May,
    show: Annotated[str, Query(max_length=20)] = "",
    project: Annotated[str, Query(**_text)] = "",
    preset: Annotated[str, Query(**_text)] = "",
    campaign: Annotated[str, Query(**_text)] = "",
    q: Annotated[str, Query(**_text)] = "",
    before: Annotated[str | None, Query(**_text)] = None,
) -> Response:
    """Every job the caller may see, newest first. The address holds the filters."""
    _, statuses = _GROUPS.get(show, _GROUPS[""])
    wanted = JobFilter(
        statuses=statuses,
        project=project or None,
        preset=preset or None,
        campaign=campaign or None,
        text=q,
        hidden_projects=orders.catalog.access.hidden_from(caller.name),
    )
    found = orders.listing(wanted, before=before, limit=_PAGE)
    chosen = {"show": show, "q": q, "project": project, "preset": preset, "campaign": campaign}
    kept = {name: value for name, value in chosen.items() if value}
    tabs = [(name, title, _query(kept, show=name)) for name, (title, _) in _GROUPS.items()]
    return page(
        request,
        "jobs.html",
        here="jobs",
        may=may,
        found=found,
        chosen=chosen,
        filtered=bool(kept),
        tabs=tabs,
        presets=orders.catalog.presets,
        campaigns=_campaigns(orders, caller, campaign) if campaign or not (kept or before) else [],
        older=_query(kept, before=found.next) if found.next else None,
        first=before is None,
    )


def _campaigns(orders: Pipeline, caller: Caller, name: str) -> list[Progress]:
    """The campaign that the list is of; above the list of everything, the newest ones that go on."""
    if name:
        found = campaigns.of_name(orders, caller, name)
        return [found] if found else []
    return [one for one in campaigns.shown(orders, caller, limit=_GOING) if one.going]


def _query(kept: Mapping[str, str], **changes: str | None) -> str:
    left = {name: value for name, value in {**kept, **changes}.items() if value}
    return f"?{urlencode(left)}" if left else ""


@router.get(PATH + "/job/{job_id}")
async def job(job_id: Job, request: Request, caller: Who, orders: Orders, may: May) -> Response:
    """One job: its video, every attempt at every shot, what it cost, and whatever a person is asked about it."""
    return await job_page(request, caller, orders, may, job_id)


async def job_page(
    request: Request, caller: Caller, orders: Pipeline, may: Permits, job_id: str, trouble: Problem | None = None
) -> Response:
    """Return the page of a job; with `trouble`, of one that was just told no, under the status of that no."""
    view = await run_in_threadpool(orders.view, job_id)
    mark = seen(view)
    video = _video(view)
    return page(
        request,
        "job.html",
        here="jobs",
        may=may,
        caller=caller.name,
        job=view,
        title=view.order.title(90),
        trouble=trouble,
        watch=None if mark.over else mark.event_id,
        video=video,
        lines=view.estimate.lines,
        shots=[(shot, _offer(view, shot)) for shot in view.shots],
        editable=view.status in BEFORE_MONEY and view.envelope is None and view.erased is None,
        redoable=view.status in REDOABLE and view.erased is None,
        stoppable=view.status not in OVER,
        run=next((run for run in reversed(view.runs)), None),
        mine=caller.name == _not_by(view),
    )


def _not_by(view: JobView) -> str | None:
    """Who may not answer what is asked now."""
    asked = view.approval or view.review
    return asked.not_by if asked is not None else None


def _video(view: JobView) -> tuple[int, str] | None:
    """The version and the sum of the video that may be shown: the delivered one, or the one a person is asked about."""
    if view.erased is not None:
        return None
    if view.delivery is not None:
        return view.delivery.version, view.delivery.video.sha256
    if view.review is not None:
        return view.review.version, view.review.cut_sha
    return None


def _offer(view: JobView, shot: ShotView) -> tuple[Micros, Micros] | None:
    """The lowest and the highest quote for a shot in the newest estimate."""
    quotes = [line.quote for line in view.estimate.lines if line.shot == shot.shot]
    return (min(quotes), max(quotes)) if quotes else None


@router.get(PATH + "/run")
def of_run(
    request: Request, caller: Who, orders: Orders, run_id: Annotated[str, Query(max_length=250, pattern=r"^[^\x00]*$")] = ""
) -> Response:
    """What a run of Airflow carries: its job's page, or the list of its jobs. Shown as the tab `Video` of the run."""
    with orders.ledger.read() as conn:
        carried = list(job_rows.of_run(conn, run_id))
    shown = []
    for job_id in carried:
        try:
            shown.append(visible(orders.ledger, orders.catalog, caller, job_id))
        except JobUnknown:
            continue
    if len(shown) == 1:
        return RedirectResponse(f"{request.scope.get('root_path', '')}{PATH}/job/{shown[0]}", 303)
    return page(request, "run.html", here="jobs", run_id=run_id, jobs=shown)
