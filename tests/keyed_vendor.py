"""A test vendor that wants a key, and stops a render when it is asked to. Its books say whose key bought, never the key."""

from __future__ import annotations

import hashlib

from aiprod.errors import BackendError, FailureKind, SubmitRejected
from aiprod.models import Accepted, CancelOutcome, Checkup, JobState, RenderRequest
from tests.vendor import ListingVendor

__all__ = ["KeyedVendor", "Stoppable", "mark"]


def mark(key: str) -> str:
    """What the books keep of a key."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


class KeyedVendor(ListingVendor):
    """Takes any key that is not `wrong`, of whichever name the catalogue needs."""

    reads = ("RUNWAYML_API_SECRET", "RUNWAYML_BASE_URL", "REPLICATE_API_TOKEN", "GCP_PROJECT_ID", "GOOGLE_CREDENTIALS_JSON")

    def submit(self, request: RenderRequest, *, key: str) -> Accepted:
        if self._key() == "wrong":
            raise SubmitRejected(f"{self.name}: the key was refused", kind=FailureKind.AUTH)
        accepted = super().submit(request, key=key)
        self._note("keys", accepted.vendor_id, mark(self._key()))
        return accepted

    def poll(self, vendor_id: str) -> JobState:
        if self._key() == "wrong":
            raise BackendError(f"{self.name}: the key was refused", kind=FailureKind.AUTH, money_moved="maybe")
        state = super().poll(vendor_id)
        if (self.books / "stopped" / vendor_id).exists() and not state.final:
            return JobState(state="cancelled", message="stopped on request", money_moved="no", charged=0)
        return state

    def cancel(self, vendor_id: str) -> CancelOutcome:
        if super().poll(vendor_id).final:
            return CancelOutcome(stopped="no", refunded="no")
        self._note("stopped", vendor_id, "")
        return CancelOutcome(stopped="yes", refunded="yes")

    def checkup(self) -> Checkup:
        return Checkup(authenticated="no" if self._key() == "wrong" else "yes", left="120 credits")

    def _key(self) -> str:
        return self.keys.get("GOOGLE_CREDENTIALS_JSON") or next(
            (v for n, v in self.keys.items() if not n.endswith("URL")), "wrong"
        )

    def _note(self, what: str, vendor_id: str, text: str) -> None:
        (self.books / what).mkdir(exist_ok=True)
        (self.books / what / vendor_id).write_text(text)


class Stoppable(KeyedVendor):
    """The same, with its key in its pocket."""

    def _key(self) -> str:
        return "its own"
