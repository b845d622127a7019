"""What a Prometheus server reads, over HTTP."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response

from aiprod import metrics
from aiprod_airflow.api.access import Orders

__all__ = ["router"]

router = APIRouter(tags=["Figures"])


@router.get("/metrics", response_class=PlainTextResponse)
def scrape(orders: Orders) -> Response:
    """Return every metric as of the last flush, in Prometheus' text format. Whoever scrapes sends a token like any program."""
    content_type, body = metrics.scrape(orders.ledger)
    return Response(body, media_type=content_type)
