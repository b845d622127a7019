"""Campaigns over HTTP: how one stands, and pausing, going on with or cancelling it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path
from fastapi.responses import Response

from aiprod.bulk import holding
from aiprod.bulk.holding import Said
from aiprod.bulk.report import Report, report
from aiprod.errors import JobUnknown
from aiprod.ledger import campaigns
from aiprod.ledger.campaigns import Word
from aiprod_airflow.api.access import WRITE, Orders, Who
from aiprod_airflow.api.orders import told

__all__ = ["WORDS", "require_visible", "router"]

router = APIRouter(tags=["Campaigns"])

#: What an address calls each word.
WORDS: dict[str, Word] = {"pause": "paused", "resume": "resumed", "cancel": "cancelled"}


def require_visible(
    campaign: Annotated[str, Path(description="The campaign's name.", max_length=200)], caller: Who, orders: Orders
) -> str:
    """Return the campaign's name. Raises `JobUnknown` for one that is not there, or has a job in somebody else's project."""
    with orders.ledger.read() as conn:
        paying = campaigns.projects(conn, campaign)
    if not paying or paying & set(orders.catalog.access.hidden_from(caller.name)):
        raise JobUnknown(f"there is no campaign {campaign}")
    return campaign


Campaign = Annotated[str, Depends(require_visible)]


@router.get("/campaigns/{campaign}", response_model=Report)
def look(campaign: Campaign, orders: Orders) -> Response:
    """Return how a campaign stands: every row, what was delivered and why not, money, waste, quality and time."""
    return told(report(orders.ledger, campaign))


@router.post("/campaigns/{campaign}/{verb}", response_model=Said, dependencies=[WRITE])
def say(campaign: Campaign, verb: Literal["pause", "resume", "cancel"], caller: Who, orders: Orders) -> Response:
    """Start no more of its jobs, start them again, or buy nothing more for it, ever. Saying it again changes nothing.

    What a run carries goes on when it is paused; when it is cancelled its vendors are asked to stop, and what was delivered
    stays. A cancelled campaign takes no other word (409).
    """
    return told(holding.say(orders.ledger, orders.catalog, campaign, WORDS[verb], by=caller.name))
