"""Watching renders at a vendor without holding a worker. Asks, and does nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from aiprod.backends import Backend, backend
from aiprod.catalog import catalog
from aiprod.errors import BackendError

__all__ = ["RenderTrigger", "Watch"]

#: How long the first finished render of a batch waits for the others, so that they wake the operator together.
COALESCE = timedelta(seconds=30)


class Watch:
    """Decides when the operator is woken. The trigger owns clock and sleeping; tests bring their own."""

    def __init__(
        self, vendor_ids: list[str], *, first_event_at: datetime, look_again_at: datetime | None, deadline: datetime
    ) -> None:
        self.pending = set(vendor_ids)
        self.first_event_at = first_event_at
        self.look_again_at = look_again_at
        self.deadline = deadline
        self.first_finish: datetime | None = None

    def finished(self, vendor_id: str, *, now: datetime) -> None:
        """Note that a render is over."""
        self.pending.discard(vendor_id)
        self.first_finish = self.first_finish or now

    def wake(self, *, now: datetime) -> bool:
        """Whether to wake the operator now; never before `first_event_at`, whatever happened."""
        if now < self.first_event_at:
            return False
        if now >= self.deadline or (self.look_again_at is not None and now >= self.look_again_at):
            return True
        if self.first_finish is None:
            return not self.pending and self.look_again_at is None
        return not self.pending or now >= self.first_finish + COALESCE

    def next_look(self, *, now: datetime, poll: timedelta) -> timedelta:
        """How long to sleep: until the next poll, or until a moment at which the answer changes by itself."""
        moments = [now + poll]
        for moment in (self.first_event_at, self.look_again_at, self.deadline):
            if moment is not None and moment > now:
                moments.append(moment)
        return max(min(moments) - now, timedelta(milliseconds=100))


class RenderTrigger(BaseTrigger):
    """Poll the renders of one backend until enough changed to wake the operator.

    Only identifiers travel. A restarted triggerer begins again and loses nothing; two copies ask twice and change nothing.
    This class's import path is stored with every parked task and must never change.
    """

    def __init__(
        self,
        *,
        backend: str,
        vendor_ids: list[str],
        first_event_at: str,
        look_again_at: str | None,
        deadline: str,
        poll_seconds: float,
    ) -> None:
        super().__init__()
        self.backend = backend
        self.vendor_ids = vendor_ids
        self.first_event_at = first_event_at
        self.look_again_at = look_again_at
        self.deadline = deadline
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "aiprod_airflow.triggers.render.RenderTrigger",
            {
                "backend": self.backend,
                "vendor_ids": self.vendor_ids,
                "first_event_at": self.first_event_at,
                "look_again_at": self.look_again_at,
                "deadline": self.deadline,
                "poll_seconds": self.poll_seconds,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        # Adapters block; the triggerer's event loop is shared with every other trigger.
        adapter = await asyncio.to_thread(backend, catalog(), self.backend)
        watch = Watch(
            self.vendor_ids,
            first_event_at=datetime.fromisoformat(self.first_event_at),
            look_again_at=datetime.fromisoformat(self.look_again_at) if self.look_again_at else None,
            deadline=datetime.fromisoformat(self.deadline),
        )
        while True:
            for vendor_id in sorted(watch.pending):
                if await self._is_over(adapter, vendor_id):
                    watch.finished(vendor_id, now=datetime.now(UTC))
            now = datetime.now(UTC)
            if watch.wake(now=now):
                yield TriggerEvent({"pending": sorted(watch.pending)})
                return
            await asyncio.sleep(watch.next_look(now=now, poll=timedelta(seconds=self.poll_seconds)).total_seconds())

    async def _is_over(self, adapter: Backend, vendor_id: str) -> bool:
        try:
            return (await asyncio.to_thread(adapter.poll, vendor_id)).final
        except BackendError as error:
            # One lost answer says nothing about a paid render: ask again next time.
            self.log.warning("%s did not say how %s is doing: %s", self.backend, vendor_id, error)
            return False
