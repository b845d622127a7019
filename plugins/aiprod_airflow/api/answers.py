"""People's answers over HTTP: the ledger first, Airflow's question second."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated, Literal, Self

from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import Field, StringConstraints, model_validator

from aiprod.ledger import jobs
from aiprod.models import Micros, Noun
from aiprod.ordering import amount_asked
from aiprod.pipeline import Pipeline
from aiprod.views import JobView
from aiprod_airflow.api.access import WRITE, Caller, Job, Orders, Who
from aiprod_airflow.api.orders import Version, told
from aiprod_airflow.api.rest import Airflow, AirflowClient, credential_of

__all__ = ["router"]

log = logging.getLogger(__name__)
router = APIRouter(tags=["Answers"], dependencies=[WRITE])

Task = Literal["approve", "review"]
Option = Literal["Approve", "Reject"]
_Amount = Annotated[Micros, Field(ge=0, le=10**15, description="The amount seen, in micro-dollars.")]
_Sha = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Why = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00-\x08\x0b-\x1f]*$")]

#: Seconds after which a question that was about to be asked is looked for again: between deciding to ask and having asked,
#: a task takes a few seconds, and the answer that comes in between must not leave it waiting.
_AGAIN = (1.0, 2.0, 3.0, 5.0, 8.0, 13.0)
_PURSUED: set[asyncio.Task[None]] = set()


class Approval(Noun):
    """Yes to what was seen: the money of a version (`amount`), or its finished video (`cut_sha`)."""

    version: Version
    amount: _Amount | None = None
    cut_sha: _Sha | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.amount is None) == (self.cut_sha is None):
            raise ValueError("give the amount you approve, or the cut_sha of the video you approve")
        return self


class Rejection(Noun):
    """No: to the money of a version, or with `cut_sha` to its finished video."""

    version: Version
    amount: _Amount | None = None
    cut_sha: _Sha | None = None
    why: Why = ""


@router.post("/job/{job_id}/approve", response_model=JobView)
async def approve(job_id: Job, said: Approval, request: Request, caller: Who, orders: Orders, airflow: Airflow) -> Response:
    """Approve the money of a version, or its finished video, as it was seen; what changed since is a conflict (409).

    The same approval by the same person again is the same approval.
    """
    if said.cut_sha is not None:
        await run_in_threadpool(orders.answer_cut, job_id, "accepted", version=said.version, cut_sha=said.cut_sha, by=caller.name)
    else:
        await run_in_threadpool(
            orders.answer_money, job_id, "approved", version=said.version, amount=said.amount or 0, by=caller.name
        )
    view = await run_in_threadpool(orders.view, job_id)
    await _wake(airflow, request, view, "review" if said.cut_sha else "approve", "Approve")
    return told(view)


@router.post("/job/{job_id}/reject", response_model=JobView)
async def reject(job_id: Job, said: Rejection, request: Request, caller: Who, orders: Orders, airflow: Airflow) -> Response:
    """Refuse the money of a version, or its finished video (`cut_sha`): nothing is bought, or nothing is delivered."""
    await run_in_threadpool(_refuse, orders, job_id, said, caller)
    view = await run_in_threadpool(orders.view, job_id)
    await _wake(airflow, request, view, "review" if said.cut_sha else "approve", "Reject")
    return told(view)


def _refuse(orders: Pipeline, job_id: str, said: Rejection, caller: Caller) -> None:
    if said.cut_sha is not None:
        orders.answer_cut(job_id, "rejected", version=said.version, cut_sha=said.cut_sha, by=caller.name, why=said.why)
        return
    amount = said.amount
    if amount is None:
        # Whoever refuses a version refuses it whatever it costs.
        with orders.ledger.read() as conn:
            amount = amount_asked(conn, orders.catalog, job_id, jobs.latest(conn, job_id))
    orders.answer_money(job_id, "rejected", version=said.version, amount=amount, by=caller.name, why=said.why)


@router.post("/job/{job_id}/cancel", response_model=JobView)
async def cancel(job_id: Job, request: Request, caller: Who, orders: Orders, airflow: Airflow) -> Response:
    """Hold and send nothing more for a job, ask its vendors to stop, and end its run.

    What a vendor does not stop is still billed, watched and kept. A job that is cancelled already stays so.
    """
    await run_in_threadpool(orders.cancel, job_id, by=caller.name)
    view = await run_in_threadpool(orders.view, job_id)
    # Whichever is asked: the ledger knows that the job is cancelled, so that any answer ends the run.
    for task in ("approve", "review"):
        await _wake(airflow, request, view, task, "Reject", pursue=False)
    return told(view)


async def _wake(
    airflow: AirflowClient, request: Request, view: JobView, task: Task, option: Option, *, pursue: bool = True
) -> None:
    """Let the runs that ask find their answer. That they do not ask yet, or any more, is no error of the answer."""
    for run_id in [run.run_id for run in view.runs if run.settled_at is None]:
        try:
            done = await airflow.answer(run_id, task, option)
        except HTTPException as trouble:
            log.warning("%s of run %s was not told: %s", task, run_id, trouble.detail)
            done = False
        if not done and pursue:
            pursuing = asyncio.create_task(_pursue(request.state.aiprod_root_app, credential_of(request), run_id, task, option))
            # The loop itself keeps no reference to a task.
            _PURSUED.add(pursuing)
            pursuing.add_done_callback(_PURSUED.discard)


async def _pursue(root_app: object, credential: dict[str, str], run_id: str, task: Task, option: Option) -> None:
    """Tell a question that was not asked yet, for half a minute. Losing this loses nothing: the ledger has the answer,
    and the same request again tells Airflow again.
    """
    client = AirflowClient(root_app, credential)
    try:
        for seconds in _AGAIN:
            await asyncio.sleep(seconds)
            try:
                if await client.answer(run_id, task, option):
                    return
            except HTTPException as trouble:
                log.warning("%s of run %s was not told: %s", task, run_id, trouble.detail)
    finally:
        await client.close()
