"""Purchases that wait for a person, and the person's answers, over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field, StringConstraints

from aiprod import parking
from aiprod.errors import JobUnknown
from aiprod.ledger.parked import AnswerWord
from aiprod.models import Micros, Noun
from aiprod.parking import Parked
from aiprod_airflow.api.access import PARKED, Orders, Who, visible
from aiprod_airflow.api.answers import Why
from aiprod_airflow.api.orders import told

__all__ = ["router"]

router = APIRouter(tags=["Parked purchases"])

_Id = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f]{1,300}$")]


class ParkedList(Noun):
    parked: tuple[Parked, ...]


class ParkedAnswer(Noun):
    """What became of a purchase: `ran` (with the vendor's id), `did_not_run`, `write_off` or `file_gone`, and why you know."""

    purchase_id: _Id
    answer: AnswerWord
    why: Annotated[Why, Field(min_length=1)]
    vendor_id: _Id | None = None
    charged: Annotated[Micros, Field(ge=0, le=10**15, description="For a write-off: what the vendor billed.")] | None = None


class ParkedAnswered(Noun):
    """What the answer did, in one sentence."""

    purchase_id: str
    told: str


@router.get("/parked", response_model=ParkedList)
def waiting(caller: Who, orders: Orders) -> Response:
    """Return every purchase that nobody can look up but a person, the longest waiting first."""
    found = parking.listed(orders.ledger, hidden_projects=orders.catalog.access.hidden_from(caller.name))
    return told(ParkedList(parked=tuple(found)))


@router.post("/parked", response_model=ParkedAnswered, dependencies=[PARKED])
def answer(said: ParkedAnswer, caller: Who, orders: Orders) -> Response:
    """Say what became of a parked purchase, once. `purchase_id` may be the beginning of one."""
    one = parking.one(orders.ledger, said.purchase_id)
    try:
        visible(orders.ledger, orders.catalog, caller, one.purchase.job_id)
    except JobUnknown:
        # Not in its own words: they name the job.
        raise JobUnknown(f"there is no parked purchase {said.purchase_id[:64]!r}") from None
    done = parking.answer(
        orders.ledger,
        orders.catalog,
        one.purchase.purchase_id,
        said.answer,
        by=caller.name,
        why=said.why,
        vendor_id=said.vendor_id or "",
        charged=said.charged,
    )
    return told(ParkedAnswered(purchase_id=one.purchase.purchase_id, told=done))
