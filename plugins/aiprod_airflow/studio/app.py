"""Every page of the studio, in one router."""

from __future__ import annotations

from fastapi import APIRouter

from aiprod_airflow.studio import actions, campaigns, files, jobs, money, needs, ordering, thumbnails

__all__ = ["router"]

router = APIRouter()
for _part in (jobs, campaigns, actions, ordering, needs, money, files, thumbnails):
    router.include_router(_part.router)
