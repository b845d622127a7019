"""Google Cloud Monitoring as a sink: cumulative totals, 200 series to a request, each with one point."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from aiprod.errors import BackendError
from aiprod.ledger import Ledger, readings
from aiprod.ledger.cursors import Refused
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.points import Series
from aiprod.metrics.google_client import Account
from aiprod.metrics.sinks import Sent

__all__ = ["CloudMonitoring"]

#: The service's limit.
_PER_REQUEST = 200
#: A batch whose bad series are not named is cut in two, and again: never for longer than this many requests.
_MOST_REQUESTS = 60
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
    """One batch on its way: what is stored, what is refused, and what is still to be tried."""

    def __init__(self, client: Any, project: str, resource: dict[str, Any], ended_at: datetime, ends: float) -> None:
        self._client, self._project, self._resource = client, project, resource
        self._ended_at, self._ends = ended_at, ends
        self._stored: list[Series] = []
        self._refused: list[Refused] = []
        self._trouble = ""

    def write(self, batch: Sequence[Series]) -> Sent:
        # A part that was sent before, with others, may be stored: then it is refused as a repeat.
        parts = [(list(batch[n : n + _PER_REQUEST]), False) for n in range(0, len(batch), _PER_REQUEST)]
        for _ in range(_MOST_REQUESTS):
            if not parts or self._ends <= monotonic():
                break
            part, again = parts.pop(0)
            if not self._sent(part, again, parts):
                break
        if parts and not self._trouble:
            self._trouble = "not all was told in time"
        # Where nothing at all is taken it is not the fault of the series.
        blamed = self._refused if self._stored or len(batch) == 1 else []
        if self._refused and not blamed:
            self._trouble = f"nothing was taken: {self._refused[0].why}"[:_MOST_SAID]
        return Sent(stored=tuple(self._stored), refused=tuple(blamed), trouble=self._trouble)

    def _sent(self, part: list[Series], again: bool, parts: list[tuple[list[Series], bool]]) -> bool:
        """Send one part; return whether it makes sense to go on."""
        from google.api_core.exceptions import GoogleAPIError, InvalidArgument

        from aiprod.metrics import google_words as words

        told = [words.time_series(each, self._ended_at, self._resource) for each in part]
        left = min(_PATIENCE, self._ends - monotonic())
        try:
            self._client.create_time_series(name=f"projects/{self._project}", time_series=told, timeout=max(0.01, left))
        except InvalidArgument as error:
            bad = words.refusals(error, len(part))
            if bad is None and len(part) > 1:
                half = len(part) // 2
                parts[:0] = [(part[:half], True), (part[half:], True)]
                return True
            self._sort(part, bad if bad is not None else {0: error.message}, again)
        except GoogleAPIError as error:
            self._trouble = f"{type(error).__name__}: {error}"[:_MOST_SAID]
            return False
        else:
            self._stored += part
        return True

    def _sort(self, part: list[Series], bad: dict[int, str], again: bool) -> None:
        from aiprod.metrics.google_words import passing

        for n, each in enumerate(part):
            if n not in bad or (again and passing(bad[n])):
                self._stored.append(each)
            elif passing(bad[n]):
                self._trouble = bad[n][:_MOST_SAID]
            else:
                self._refused.append(Refused(each, bad[n]))
