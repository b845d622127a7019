"""What Vertex says about a Veo render, in our words. Pure.

An operation has no status word: it runs until it is `done`, and then has videos, a count of those withheld, or an error.
The table of error codes is closed: one that is not in it raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from aiprod.errors import BackendError, FailureKind, MoneyMoved, SubmitAmbiguous, SubmitRejected
from aiprod.models import JobState

__all__ = ["NAME", "Operation", "Refusal", "Video", "details_of", "no_answer", "not_accepted", "state"]

#: How Vertex calls a render: the operation that makes it.
NAME = re.compile(r"projects/([\w:.-]+)/locations/([a-z0-9-]+)/publishers/google/models/[\w.-]+/operations/[\w-]+", re.A)
_MOST_SAID = 300
_UNSAFE = re.compile(r"responsible ai|usage guidelines|safety|sensitive|violat|prohibited|blocked", re.I)
_BAD_KEY = re.compile(r"api key not valid|api_key_invalid", re.I)
_BILLING = re.compile(r"billing", re.I)
_DAILY = re.compile(r"per ?day|daily", re.I)

_BY_STATUS = {
    400: FailureKind.INVALID_INPUT,
    401: FailureKind.AUTH,
    402: FailureKind.QUOTA_EXHAUSTED,
    403: FailureKind.AUTH,
    404: FailureKind.GONE,
    413: FailureKind.INVALID_INPUT,
    422: FailureKind.INVALID_INPUT,
    429: FailureKind.RATE_LIMITED,
}
#: Whoever says this may have passed the request on.
_CANNOT_TELL = (408, 409, 425, 499)


class _End(NamedTuple):
    kind: FailureKind
    money_moved: MoneyMoved


#: google.rpc codes. Google bills finished videos; what broke off inside may have been one, and no answer tells.
_ENDS = {
    1: _End(FailureKind.TRANSIENT, "maybe"),
    2: _End(FailureKind.VENDOR_INTERNAL, "maybe"),
    3: _End(FailureKind.INVALID_INPUT, "no"),
    4: _End(FailureKind.TIMEOUT, "maybe"),
    5: _End(FailureKind.INVALID_INPUT, "no"),
    7: _End(FailureKind.AUTH, "no"),
    8: _End(FailureKind.RATE_LIMITED, "no"),
    9: _End(FailureKind.INVALID_INPUT, "no"),
    10: _End(FailureKind.TRANSIENT, "maybe"),
    11: _End(FailureKind.INVALID_INPUT, "no"),
    12: _End(FailureKind.INVALID_INPUT, "no"),
    13: _End(FailureKind.TRANSIENT, "maybe"),
    14: _End(FailureKind.TRANSIENT, "maybe"),
    15: _End(FailureKind.VENDOR_INTERNAL, "maybe"),
    16: _End(FailureKind.AUTH, "no"),
}


@dataclass(frozen=True)
class Refusal:
    """An HTTP error: its code, Google's status word and sentence, the structured details, and the answer's headers."""

    code: int
    status: str = ""
    message: str = ""
    details: tuple[Mapping[str, Any], ...] = ()
    headers: Mapping[str, str] | None = None

    def told(self, hide: str = "") -> str:
        """The refusal in one line, without `hide`: what was asked for is nobody's business."""
        said = " ".join(" ".join([self.status, _without(self.message, hide)]).split())[:_MOST_SAID]
        return f"HTTP {self.code} {said}".strip()

    @property
    def kind(self) -> FailureKind:
        words = " ".join([self.message, *(str(detail.get("reason", "")) for detail in self.details)])
        if self.code >= 500:
            return FailureKind.TRANSIENT
        if self.code == 400 and _BAD_KEY.search(words):
            return FailureKind.AUTH
        if self.code in (400, 403) and _BILLING.search(words):
            return FailureKind.QUOTA_EXHAUSTED
        if self.code == 400 and _UNSAFE.search(words):
            return FailureKind.MODERATED
        if self.code == 429 and _DAILY.search(words):
            return FailureKind.QUOTA_EXHAUSTED
        return _BY_STATUS.get(self.code, FailureKind.VENDOR_INTERNAL)

    @property
    def retry_after(self) -> float | None:
        """When to come again, in seconds, where that is told."""
        told = [(self.headers or {}).get("retry-after", "")]
        told += [str(d.get("retryDelay", "")).removesuffix("s") for d in self.details]
        return next((float(wait) for wait in told if re.fullmatch(r"\d{1,6}(\.\d{1,9})?", wait)), None)


@dataclass(frozen=True)
class Video:
    """One video of an operation: where it is in the bucket, or itself."""

    address: str = ""
    data: bytes = b""

    def __repr__(self) -> str:
        return f"Video({self.address or f'{len(self.data)} bytes'})"


@dataclass(frozen=True)
class Operation:
    """One answer to how it stands: `error` is google.rpc's code and message, `withheld` how many were filtered, and why."""

    done: bool = False
    error: Mapping[str, Any] | None = None
    videos: tuple[Video, ...] = ()
    withheld: int = 0
    reasons: tuple[str, ...] = ()


def state(operation: Operation, *, who: str) -> JobState:
    """Return an operation as our `JobState`. Raises `BackendError` for an error code that nobody told us of."""
    if operation.error is not None:
        return _failed(operation.error, who)
    if not operation.done:
        return JobState(state="running")
    if operation.videos:
        return JobState(state="succeeded", progress=1.0, money_moved="yes")
    if operation.withheld:
        told = "; ".join(operation.reasons) or "withheld for its content"
        return _ended(FailureKind.MODERATED, told, "no")
    return _ended(FailureKind.VENDOR_INTERNAL, "done, and there is no video", "maybe")


def not_accepted(refusal: Refusal, *, who: str, hide: str) -> SubmitRejected | SubmitAmbiguous:
    """Return the error of a submission that was answered with anything but an operation. `hide` is the prompt."""
    told = f"{who}: {refusal.told(hide)}"
    if refusal.code in _CANNOT_TELL or not 400 <= refusal.code < 500:
        return SubmitAmbiguous(f"{told}; it may run", kind=FailureKind.TRANSIENT)
    kind = refusal.kind
    if kind is FailureKind.GONE:
        # The model, or this project's access to it: no other time of the day makes it come back.
        kind = FailureKind.INVALID_INPUT
    return SubmitRejected(told, kind=kind, retry_after=refusal.retry_after if kind is FailureKind.RATE_LIMITED else None)


def no_answer(refusal: Refusal, *, who: str) -> BackendError:
    """Return the error of a question that was not answered. Asking moves no money; what it is about may have."""
    return BackendError(f"{who}: {refusal.told()}", kind=refusal.kind, money_moved="maybe")


def details_of(body: object) -> Iterator[Mapping[str, Any]]:
    """The structured details of Google's error body, wherever it has any."""
    error = body.get("error", body) if isinstance(body, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    yield from (detail for detail in details or () if isinstance(detail, dict))


def _failed(error: Mapping[str, Any], who: str) -> JobState:
    code, message = error.get("code"), str(error.get("message") or "no reason given")
    end = _ENDS.get(code) if isinstance(code, int) else None
    if end is None:
        raise BackendError(f"{who}: unknown error code {str(code)[:20]!r}", kind=FailureKind.VENDOR_INTERNAL, money_moved="maybe")
    kind = end.kind
    if end.kind is FailureKind.INVALID_INPUT and _UNSAFE.search(message):
        kind = FailureKind.MODERATED
    elif end.kind is FailureKind.RATE_LIMITED and _DAILY.search(message):
        kind = FailureKind.QUOTA_EXHAUSTED
    return _ended(kind, f"code {code}: {message}", end.money_moved)


def _ended(kind: FailureKind, told: str, money_moved: MoneyMoved) -> JobState:
    return JobState(state="failed", kind=kind, message=" ".join(told.split())[:_MOST_SAID], money_moved=money_moved)


def _without(message: str, hide: str) -> str:
    """A sentence without what was asked for, and without anything that could be a token."""
    words = " ".join(hide.split())
    clean = " ".join(message.split())
    # A word or two are in any sentence, and tell nobody anything.
    clean = clean.replace(words, "[the prompt]") if len(words) >= 12 else clean
    return re.sub(r"[\w.+=-]{40,}", "…", clean)
