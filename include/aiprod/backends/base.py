"""What every backend promises. Backends translate; they never wait, retry, price or record."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from aiprod.catalog import BackendEntry
from aiprod.models import Accepted, CancelOutcome, Found, JobState, RenderRequest

__all__ = ["Backend"]


class Backend(ABC):
    """One video vendor. A stranger should be able to write one tonight: four verbs, no state of ours.

    What is legal and what it costs is the catalogue's word (`pricing.legal_request`, `pricing.quote`); an adapter
    whose vendor knows better overrides `validate`. No vendor exception leaves the file: everything is
    `SubmitRejected`, `SubmitAmbiguous` or `BackendError`. A status word that is not in the adapter's table raises.
    """

    #: Whether the vendor offers any way to look for a lost request. Without one it is parked for a person at once.
    can_find: ClassVar[bool] = False

    def __init__(self, name: str, entry: BackendEntry) -> None:
        self.name = name
        self.entry = entry

    def validate(self, request: RenderRequest) -> RenderRequest:
        """Return the request as the vendor will take it, before any money is set aside.

        Raises `SubmitRejected` when the vendor would refuse it.
        """
        return request

    @abstractmethod
    def submit(self, request: RenderRequest, *, key: str) -> Accepted:
        """Send exactly one request, with a timeout and without retries. `key` marks it where the vendor allows.

        Raises `SubmitRejected` when nothing runs, `SubmitAmbiguous` when that cannot be known.
        """

    def find(self, request: RenderRequest, *, key: str, since: datetime) -> Found:
        """Look for a request whose answer was lost. Never claims proof that the vendor does not give."""
        return Found()

    @abstractmethod
    def poll(self, vendor_id: str) -> JobState:
        """Ask once how a render is doing; asking costs nothing. Raises `BackendError` when there is no answer."""

    @abstractmethod
    def fetch(self, vendor_id: str, into: Path) -> None:
        """Write the finished video to `into`. Raises `BackendError` (kind `gone` when it is not there any more)."""

    def cancel(self, vendor_id: str) -> CancelOutcome:
        """Ask the vendor to stop. The default knows no way."""
        return CancelOutcome(stopped="no", refunded="no")
