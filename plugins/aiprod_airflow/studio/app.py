"""Every page of the studio, in one router."""

from __future__ import annotations

from fastapi import APIRouter

from aiprod_airflow.studio import actions, files, jobs, money, needs, ordering, thumbnails

__all__ = ["router"]

router = APIRouter()
for _part in (jobs, actions, ordering, needs, money, files, thumbnails):
    router.include_router(_part.router)
