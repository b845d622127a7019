"""Watching renders at a vendor without holding a worker. Asks, and does nothing else."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from aiprod.errors import AiprodError, BackendError, FailureKind
from aiprod_airflow.triggers.lookout import Lookout, lookout

if TYPE_CHECKING:
    from aiprod_airflow.stopping import Instance

__all__ = ["RenderTrigger", "Watch"]

log = logging.getLogger(__name__)

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
        watch = Watch(
            self.vendor_ids,
            first_event_at=datetime.fromisoformat(self.first_event_at),
            look_again_at=datetime.fromisoformat(self.look_again_at) if self.look_again_at else None,
            deadline=datetime.fromisoformat(self.deadline),
        )
        poll = timedelta(seconds=self.poll_seconds)
        async with lookout() as shared:
            # A triggerer that starts again takes up all its renders at once; they shall not all ask at once.
            await asyncio.sleep(watch.next_look(now=datetime.now(UTC), poll=poll * _share(self.vendor_ids)).total_seconds())
            while True:
                await self._ask(shared, watch)
                now = datetime.now(UTC)
                if watch.wake(now=now):
                    yield TriggerEvent({"pending": sorted(watch.pending)})
                    return
                await asyncio.sleep(watch.next_look(now=now, poll=poll).total_seconds())

    async def on_kill(self) -> None:
        """A person ended the task: ask the vendor to stop. A cleared task's next try has re-attached, maybe already."""
        instance = self.task_instance
        if instance is None or not self.vendor_ids:
            return
        # Airflow waits half a minute. With hundreds ended at once some wait longer for a thread, and shall not be forgotten.
        for line in await asyncio.shield(asyncio.to_thread(_stop, instance, self.backend, self.vendor_ids)):
            self.log.info("%s", line)

    async def _ask(self, shared: Lookout, watch: Watch) -> None:
        """Ask for every render that runs, side by side."""
        pending = sorted(watch.pending)
        over = await asyncio.gather(*(self._is_over(shared, vendor_id) for vendor_id in pending))
        for vendor_id in (name for name, ended in zip(pending, over, strict=True) if ended):
            watch.finished(vendor_id, now=datetime.now(UTC))

    async def _is_over(self, shared: Lookout, vendor_id: str) -> bool:
        try:
            return (await shared.ask(self.backend, vendor_id)).final
        except (AiprodError, TimeoutError) as error:
            if isinstance(error, BackendError) and error.kind is FailureKind.GONE:
                # Some vendors forget what they were asked to stop; the ledger knows what came of it.
                return await asyncio.to_thread(_closed, self.backend, vendor_id)
            # One lost answer says nothing about a paid render: ask again next time.
            self.log.warning("%s did not say how %s is doing: %s", self.backend, vendor_id, error)
            return False
        except Exception:
            # An answer that nobody understands: the operator asks for itself and fails where people look.
            self.log.exception("%s cannot be asked for %s", self.backend, vendor_id)
            return True


def _stop(instance: Instance, backend: str, vendor_ids: list[str]) -> list[str]:
    # Here, and not at the top: it loads the ledger, which no other moment of a trigger needs.
    from aiprod_airflow.stopping import stop_if_ended

    return stop_if_ended(instance, backend, vendor_ids=vendor_ids)


def _closed(backend: str, vendor_id: str) -> bool:
    """Whether the ledger knows a render and waits for it no more. Not knowing is no."""
    # Here, and not at the top, for the same reason.
    from aiprod.ledger import DatabaseError, open_ledger, purchases

    try:
        with open_ledger().read() as conn:
            known = not purchases.unclaimed(conn, backend, [vendor_id])
            return known and not purchases.running(conn, backend, [vendor_id])
    except (AiprodError, DatabaseError) as error:
        log.warning("the ledger did not say what became of %s: %s", vendor_id, type(error).__name__)
        return False


def _share(vendor_ids: list[str]) -> float:
    """A number in [0, 1) that is always the same for the same renders, and spread evenly over all."""
    return int.from_bytes(hashlib.sha256("".join(vendor_ids).encode()).digest()[:4]) / 2**32
