"""Buying the shots routed to one backend, and waiting for them without a worker."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from aiprod import settings
from aiprod.catalog import catalog
from aiprod_airflow.failures import told_to_airflow
from aiprod_airflow.pipelines import pipeline
from aiprod_airflow.stopping import Instance, stop_if_ended
from aiprod_airflow.triggers.render import RenderTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from aiprod.purchasing import Progress

__all__ = ["RenderOperator"]

log = logging.getLogger(__name__)


class RenderOperator(BaseOperator):
    """Buy all shots that `route` held at one backend, defer until they are final, and bring the takes home.

    Its colour is the ledger's, not its try's: red while a shot routed here is failed or parked, green when all are
    takes. A retry or a clear only re-attaches; without a held attempt it buys nothing.

    :param job_ids: The jobs the run carries (templated, from `estimate`).
    :param backend: The catalogue's name of the backend.
    :param attempt: Which unrolled attempt of the run this is.
    """

    template_fields: Collection[str] = ("job_ids",)
    _instance: Instance | None = None

    def __init__(self, *, job_ids: Any, backend: str, attempt: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job_ids = job_ids
        self.backend = backend
        self.attempt = attempt

    def execute(self, context: Context) -> None:
        self._push(context)

    def resume(self, context: Context, event: dict[str, Any]) -> None:
        """The trigger saw something change; what, the ledger and the backend say."""
        self._push(context)

    def on_kill(self) -> None:
        """Airflow ends this process: let the vendor stop what it runs, if that was a person's wish."""
        if self._instance is not None:
            # In a thread, because this runs between two lines of whatever it interrupts, a transaction perhaps.
            Thread(target=_stop, args=(self._instance, self.backend, self.job_ids), daemon=True).start()

    def _push(self, context: Context) -> None:
        self._instance = context["ti"]
        with told_to_airflow():
            progress = pipeline().render(self.job_ids, self.backend, self.attempt)
        if not progress.finished:
            self._wait(progress)
        for line in progress.failed:
            self.log.error("%s", line)
        if progress.failed:
            raise AirflowFailException("\n".join(progress.failed))
        self.log.info("%s: %d takes", self.backend, progress.done)

    def _wait(self, progress: Progress) -> None:
        entry = catalog().backends[self.backend]
        now = datetime.now(UTC)
        first = now + timedelta(seconds=settings.first_event_seconds())
        deadline = max(first, now + timedelta(seconds=entry.max_run_seconds))
        self.defer(
            trigger=RenderTrigger(
                backend=self.backend,
                vendor_ids=[waiting.vendor_id for waiting in progress.waiting],
                first_event_at=first.isoformat(),
                look_again_at=progress.look_again_at.isoformat() if progress.look_again_at else None,
                deadline=deadline.isoformat(),
                poll_seconds=entry.poll_seconds,
            ),
            method_name=self.resume.__name__,
            # The trigger ends by itself; this ends a trigger that never started (facts/engine.md section 11).
            timeout=deadline - now + timedelta(minutes=5),
        )


def _stop(instance: Instance, backend: str, job_ids: Sequence[str]) -> None:
    for line in stop_if_ended(instance, backend, job_ids=job_ids):
        log.info("%s", line)
