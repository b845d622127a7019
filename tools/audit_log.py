"""A remedy for one fault of Airflow 3.3: its audit log, written on the event loop, locks an API server on SQLite."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.api_fastapi.logging import decorators
from fastapi import Request
from starlette.concurrency import run_in_threadpool

LogAction = Callable[[Any, Any, Any], Awaitable[None]]


class _Page:
    """Takes what the original writes, so that it can be committed somewhere else."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def add(self, row: Any) -> None:
        self.rows.append(row)

    def commit(self) -> None:
        """Nothing yet: the caller commits the rows."""


def move_off_the_loop() -> None:
    """Let every audited request commit its log entry in a thread. Call before the routes are imported.

    The original commits on the event loop. SQLite has one writer: when a request in a thread holds the write lock, its
    own commit needs the loop, which waits for that lock. Nothing moves until SQLite's timeout, and the tasks that report
    meanwhile fail (a trigger while four tasks started: 60 s of silence).
    """
    original: Callable[[str | None], LogAction] = decorators.action_logging

    def action_logging(event: str | None = None) -> Callable[..., Awaitable[None]]:
        log_action = original(event)

        async def log_in_a_thread(request: Request, session: SessionDep, user: GetUserDep) -> None:
            page: Any = _Page()
            await log_action(request, page, user)

            def commit() -> None:
                session.add_all(page.rows)
                session.commit()

            if page.rows:
                await run_in_threadpool(commit)

        return log_in_a_thread

    decorators.action_logging = action_logging
