"""What lists show of a poster: a few kilobytes of it, made when somebody looks."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response

from aiprod_airflow.api.access import Job, Orders
from aiprod_airflow.api.media import poster_of
from aiprod_airflow.api.orders import Known, version_at
from aiprod_airflow.studio.rendering import PATH

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

#: Pixels of the longer side: twice what a row shows, for screens with two per point.
_SIDE = 192


@router.get(PATH + "/job/{job_id}/thumbnail")
def thumbnail(job_id: Job, orders: Orders, version: Annotated[int | None, version_at] = None, known: Known = None) -> Response:
    """The poster as a row shows it. Whoever has it is told so without a look at the file."""
    # Brings OpenCV, which no other page needs.
    from aiprod.assembly import thumbnail as small

    kept = poster_of(orders, job_id, version)
    headers = {"ETag": f'"{kept.sha256}-{_SIDE}"', "Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
    if known and headers["ETag"] in known:
        return Response(status_code=304, headers=headers)
    with orders.storage.local(kept.path) as path:
        return Response(small(path, side=_SIDE), headers=headers, media_type="image/webp")
