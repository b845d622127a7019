"""What every backend promises. Backends translate; they never wait, retry, price or record."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from aiprod.backends.keys import Keys, keys_of
from aiprod.catalog import BackendEntry
from aiprod.models import Accepted, CancelOutcome, Checkup, Found, JobState, RenderRequest, fingerprint

if TYPE_CHECKING:
    import httpx

__all__ = ["Backend"]


class Backend(ABC):
    """One video vendor. A stranger should be able to write one tonight: four verbs, no state of ours.

    What is legal and what it costs is the catalogue's word (`pricing.legal_request`, `pricing.quote`); an adapter
    whose vendor knows better overrides `validate`. No vendor exception leaves the file: everything is
    `SubmitRejected`, `SubmitAmbiguous` or `BackendError`, and none of them holds a key, a request or a signed address.
    A status word that is not in the adapter's table raises.
    """

    #: Every name of the environment (or of what a connection stands for) that this adapter reads.
    reads: ClassVar[tuple[str, ...]] = ()
    #: Whether the vendor, as configured, offers any way to look for a lost request. Without one it is parked at once.
    can_find: bool = False
    #: Whether `checkup` tells what is left on the account as a number.
    tells_credits: ClassVar[bool] = False

    def __init__(self, name: str, entry: BackendEntry) -> None:
        self.name = name
        self.entry = entry

    @property
    def keys(self) -> Keys:
        """What is configured of `reads`: the environment's, else the connection's."""
        return keys_of(self.name, self.reads, needs=self.entry.needs)

    @property
    def account(self) -> str:
        """A mark of the account and place that requests go to; it tells nothing of the key. What was lost under another mark
        cannot be found, and not be proved absent, under this one.
        """
        keys = self.keys
        return fingerprint(dict(keys))[:16] if keys else ""

    def validate(self, request: RenderRequest) -> RenderRequest:
        """Return the request as the vendor will take it, before any money is set aside. May ask the vendor, never pays.

        What the catalogue made legal comes back as it is: a request that comes back changed is not bought.
        Raises `SubmitRejected` when the vendor would refuse it, `BackendError` when that could not be asked.
        """
        return request

    @abstractmethod
    def submit(self, request: RenderRequest, *, key: str) -> Accepted:
        """Send exactly one request, with a timeout and without retries. `key` marks it where the vendor allows.

        Takes less than the entry's `submit_timeout_seconds` in all: then its lease is somebody else's.
        Raises `SubmitRejected` when nothing runs, `SubmitAmbiguous` when that cannot be known.
        """

    def find(self, request: RenderRequest, *, key: str, since: datetime) -> Found:
        """Look for a request whose answer was lost. Never claims proof that the vendor does not give."""
        return Found()

    @abstractmethod
    def poll(self, vendor_id: str) -> JobState:
        """Ask once how a render is doing; asking costs nothing. Raises `BackendError` when there is no answer."""

    async def watch(self, vendor_id: str, http: httpx.AsyncClient) -> JobState:
        """`poll` for an event loop that watches many renders with one HTTP client."""
        return await asyncio.to_thread(self.poll, vendor_id)

    @abstractmethod
    def fetch(self, vendor_id: str, into: Path) -> None:
        """Write the finished video to `into`. Raises `BackendError` (kind `gone` when it is not there any more)."""

    def cancel(self, vendor_id: str) -> CancelOutcome:
        """Ask the vendor to stop. The default knows no way. Raises `BackendError` when there is no answer."""
        return CancelOutcome(stopped="no", refunded="no")

    def checkup(self) -> Checkup:
        """Say how this account stands at the vendor, without spending. Raises `BackendError` when there is no answer."""
        return Checkup()
