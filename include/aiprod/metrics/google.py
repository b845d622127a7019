"""Google Cloud Monitoring as a sink: cumulative totals, 200 series to a request, each with one point."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

from aiprod.errors import BackendError
from aiprod.ledger import Ledger, readings
from aiprod.ledger.cursors import Refused
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.points import Series
from aiprod.metrics.google_client import Account
from aiprod.metrics.sinks import Sent

if TYPE_CHECKING:
    from aiprod.metrics.google_words import Refusals

__all__ = ["CloudMonitoring"]

#: The service's limit.
_PER_REQUEST = 200
_PATIENCE = 10.0
_MOST_SAID = 200


class CloudMonitoring:
    """Writes under the ledger's own name, so that however many machines flush it there is one writer of each series."""

    name = "cloud_monitoring"
    #: Well above the five seconds that the service asks for, and below the minute between two flushes.
    gap = timedelta(seconds=30)
    heartbeat = timedelta(seconds=240)

    def __init__(self, ledger: Ledger, account: Account | None = None) -> None:
        self._ledger = ledger
        self._account = account or Account()

    def send(self, batch: Sequence[Series], ended_at: datetime, *, seconds: float) -> Sent:
        """Write the totals of some series, as many as go in time."""
        ends = monotonic() + seconds
        # Only here: the client takes a second to load, and most processes have nothing to tell.
        from google.cloud import monitoring_v3

        try:
            project = self._account.project
            with self._account.client(monitoring_v3.MetricServiceClient, max(0.0, ends - monotonic())) as client:
                return _Writing(client, project, self._resource(project), ended_at, ends).write(batch)
        except BackendError as error:
            return Sent(trouble=str(error)[:_MOST_SAID])

    def _resource(self, project: str) -> dict[str, Any]:
        with self._ledger.write() as conn:
            ledger = readings.ledger_id(conn, now=database_now(conn))
        labels = {"project_id": project, "location": "global", "namespace": "aiprod", "job": "ledger", "task_id": ledger}
        return {"type": "generic_task", "labels": labels}


class _Writing:
    """One batch on its way: what is stored, what is refused, and why the rest is neither."""

    def __init__(self, client: Any, project: str, resource: dict[str, Any], ended_at: datetime, ends: float) -> None:
        self._client, self._project, self._resource = client, project, resource
        self._ended_at, self._ends = ended_at, ends
        self._stored: list[Series] = []
        self._refused: list[Refused] = []
        self._trouble = ""
        #: Whether the service took anything at all: else it is not the fault of the series.
        self._took_some = False

    def write(self, batch: Sequence[Series]) -> Sent:
        for n in range(0, len(batch), _PER_REQUEST):
            if self._ends <= monotonic():
                self._trouble = "not all was told in time"
                break
            if not self._sent(batch[n : n + _PER_REQUEST]):
                break
        blamed = self._refused if self._took_some or len(batch) == 1 else []
        if self._refused and not blamed:
            self._trouble = f"nothing was taken: {self._refused[0].why}"
        return Sent(stored=tuple(self._stored), refused=tuple(blamed), trouble=self._trouble[:_MOST_SAID])

    def _sent(self, part: Sequence[Series]) -> bool:
        """Send one request; return whether another makes sense."""
        from google.api_core.exceptions import GoogleAPIError, InvalidArgument

        from aiprod.metrics import google_words as words

        told = [words.time_series(each, self._ended_at, self._resource) for each in part]
        left = min(_PATIENCE, self._ends - monotonic())
        try:
            self._client.create_time_series(name=f"projects/{self._project}", time_series=told, timeout=max(0.01, left))
        except InvalidArgument as error:
            self._sort(part, words.refusals(error, len(part)))
        except (GoogleAPIError, ValueError) as error:
            # A refusal longer than gRPC's metadata may be cannot be read by Google's own client, and comes as a ValueError.
            self._trouble = f"{type(error).__name__}: {error}"
            return False
        else:
            self._took_some = True
            self._stored += part
        return True

    def _sort(self, part: Sequence[Series], said: Refusals) -> None:
        """A request is refused in part: the valid series are stored, whether or not it can be told which they are.

        Where it cannot, all of them are told again in a minute, with their next totals.
        """
        from aiprod.metrics.google_words import passing

        self._took_some = self._took_some or said.some_stored
        if said.complete:
            self._stored += [each for n, each in enumerate(part) if n not in said.bad]
        else:
            self._trouble = f"refused without saying all that is wrong: {said.message}"
        for n, why in said.bad.items():
            if passing(why):
                self._trouble = why
            else:
                self._refused.append(Refused(part[n], why))
