"""What whoever looks at a page may also do: a button they could not press is not shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import Depends, HTTPException, Request
from fastapi.concurrency import run_in_threadpool

from aiprod_airflow.api.access import PARKED, WRITE

__all__ = ["May", "Permits"]


@dataclass(frozen=True)
class Permits:
    """`order`: order, answer and stop. `parked`: say what became of a parked purchase."""

    order: bool
    parked: bool


async def _permits(request: Request, user: GetUserDep) -> Permits:
    async def may(needed: Any) -> bool:
        asked: Callable[..., None] = needed.dependency
        try:
            await run_in_threadpool(asked, request, user)
        except HTTPException:
            return False
        return True

    return Permits(order=await may(WRITE), parked=await may(PARKED))


#: Only what is shown: every route that acts asks Airflow itself.
May = Annotated[Permits, Depends(_permits)]
