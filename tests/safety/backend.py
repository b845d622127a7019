"""Adapters for the vendor emulator that keep the backend contract: one request, retries off, timeouts.

They differ in what the vendor offers after a lost answer: a key, a listing, or nothing.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import httpx

from aiprod.backends.base import Backend
from aiprod.errors import BackendError, FailureKind, SubmitAmbiguous, SubmitRejected
from aiprod.models import Accepted, Found, JobState, RenderRequest

#: The emulator's address; set it for every process that may talk to it.
ADDRESS = "SAFETY_VENDOR"
#: How long a request that nobody lists may still be on its way. Longer than any lease and any zombie's sleep here.
QUARANTINE = timedelta(seconds=90)
#: Real seconds. A late vendor costs a storm this much.
TIMEOUT = 0.4

__all__ = ["ADDRESS", "QUARANTINE", "KeyBackend", "ListBackend", "MuteBackend", "VendorBackend"]

_CLIENTS: dict[tuple[int, str], httpx.Client] = {}


def _client() -> httpx.Client:
    """One client per process and vendor: a connection that two processes share belongs to nobody."""
    mine = os.getpid(), os.environ[ADDRESS]
    if mine not in _CLIENTS:
        wire = httpx.HTTPTransport(retries=0, verify=False)
        _CLIENTS[mine] = httpx.Client(transport=wire, timeout=TIMEOUT, trust_env=False, base_url=mine[1])
    return _CLIENTS[mine]


class VendorBackend(Backend):
    """What the three have in common."""

    #: Whether requests carry a key that the vendor honours.
    sends_key: ClassVar[bool] = False

    def submit(self, request: RenderRequest, *, key: str) -> Accepted:
        body = {"prompt": request.prompt, "seconds": request.seconds, "marker": key}
        headers = {"Idempotency-Key": key} if self.sends_key else {}
        try:
            answer = _client().post(f"/{self.name}/renders", json=body, headers=headers)
        except httpx.ConnectError as error:
            raise SubmitRejected(f"{self.name}: {error}", kind=FailureKind.TRANSIENT) from error
        except httpx.TransportError as error:
            raise SubmitAmbiguous(f"{self.name}: {error!r}") from error
        if answer.is_success:
            return Accepted(vendor_id=answer.json()["id"])
        said = f"{self.name}: HTTP {answer.status_code}"
        if answer.status_code == 429:
            raise SubmitRejected(said, kind=FailureKind.RATE_LIMITED)
        if answer.status_code == 503:
            raise SubmitRejected(said, kind=FailureKind.TRANSIENT)
        if answer.is_client_error:
            raise SubmitRejected(said, kind=FailureKind.INVALID_INPUT)
        raise SubmitAmbiguous(said, kind=FailureKind.VENDOR_INTERNAL)

    def poll(self, vendor_id: str) -> JobState:
        said = self._read(f"/{self.name}/renders/{vendor_id}").json()
        cost = said.get("cost_micros")
        match said["status"]:
            case "RUNNING":
                return JobState(state="running")
            case "SUCCEEDED":
                return JobState(state="succeeded", charged=cost, money_moved="yes")
            case "FAILED":
                moved: Any = "yes" if cost else "no"
                kind = FailureKind.VENDOR_INTERNAL
                return JobState(state="failed", charged=cost, money_moved=moved, kind=kind, message="INTERNAL")
            case word:
                raise BackendError(f"{self.name}: unknown status {word}", kind=FailureKind.VENDOR_INTERNAL, money_moved="maybe")

    def fetch(self, vendor_id: str, into: Path) -> None:
        into.write_bytes(self._read(f"/{self.name}/renders/{vendor_id}/file").content)

    def _read(self, path: str, **query: str) -> httpx.Response:
        try:
            return _client().get(path, params=query).raise_for_status()
        except httpx.HTTPError as error:
            raise BackendError(f"{self.name}: {error!r}", kind=FailureKind.TRANSIENT, money_moved="no") from error


class KeyBackend(VendorBackend):
    """Asks again with the same key: the vendor answers with the render it has, or makes it now."""

    can_find: ClassVar[bool] = True
    sends_key: ClassVar[bool] = True

    def find(self, request: RenderRequest, *, key: str, since: datetime) -> Found:
        return Found(vendor_ids=(self.submit(request, key=key).vendor_id,))


class ListBackend(VendorBackend):
    """Looks through what the vendor lists. Nothing listed is proof only after the quarantine, on the vendor's clock."""

    can_find: ClassVar[bool] = True

    def find(self, request: RenderRequest, *, key: str, since: datetime) -> Found:
        said = self._read(f"/{self.name}/renders", marker=key).json()
        old_enough = said["now"] - since.timestamp() > QUARANTINE.total_seconds()
        return Found(vendor_ids=tuple(said["ids"]), proof=old_enough and not said["ids"])


class MuteBackend(VendorBackend):
    """The vendor offers no way to look for a lost request."""
