"""What Runway says, in our words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from aiprod.errors import BackendError, FailureKind, MoneyMoved, SubmitAmbiguous, SubmitRejected
from aiprod.models import JobState, Usage

__all__ = ["no_answer", "not_accepted", "output", "state"]

_Word = Literal["queued", "running", "succeeded", "failed", "cancelled"]
#: A word that is not here raises. THROTTLED: accepted, and waiting for one of the account's own places.
_STATUS: Mapping[str, _Word] = {
    "PENDING": "queued",
    "THROTTLED": "queued",
    "RUNNING": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
}
#: What a failure code begins with, or has as one of its parts. The first that fits counts.
_FAILURES: tuple[tuple[re.Pattern[str], FailureKind], ...] = (
    (re.compile(r"(.+\.)?SAFETY(\.|$)"), FailureKind.MODERATED),
    (re.compile(r"ASSET\.INVALID(\.|$)"), FailureKind.INVALID_INPUT),
    (re.compile(r"THIRD_PARTY\.INPUT_VALIDATION(\.|$)"), FailureKind.INVALID_INPUT),
    (re.compile(r"INTERNAL\.BAD_OUTPUT(\.|$)"), FailureKind.VENDOR_INTERNAL),
    (re.compile(r"(INTERNAL|INPUT_PREPROCESSING\.INTERNAL|THIRD_PARTY\.UNAVAILABLE)(\.|$)"), FailureKind.TRANSIENT),
)
#: A refusal with one of these means that nothing runs. Every other may hide an accepted request.
_REFUSED: Mapping[int, FailureKind] = {
    400: FailureKind.INVALID_INPUT,
    401: FailureKind.AUTH,
    402: FailureKind.QUOTA_EXHAUSTED,
    403: FailureKind.AUTH,
    404: FailureKind.INVALID_INPUT,
    405: FailureKind.INVALID_INPUT,
    413: FailureKind.INVALID_INPUT,
    415: FailureKind.INVALID_INPUT,
    422: FailureKind.INVALID_INPUT,
    429: FailureKind.QUOTA_EXHAUSTED,
}
#: A bill of ten million dollars for one clip is a slip of the vendor's, and no number for a ledger.
_MOST_CREDITS = 1_000_000_000
_BROKE = re.compile(r"(enough|insufficient|no|more|out of) credits?\b|\bcredit balance\b", re.IGNORECASE)
_MODERATED = re.compile(r"moderat|safety", re.IGNORECASE)
_DAILY = re.compile(r"\bdaily\b|\bper day\b|\bquota\b", re.IGNORECASE)
_RATE = re.compile(r"\brate limit|\bper (second|minute)\b", re.IGNORECASE)


def state(row: Mapping[str, Any], *, who: str) -> JobState:
    """Return how a task is doing. Raises `BackendError` for a status that nobody documented."""
    status = row.get("status")
    word = _STATUS.get(status) if isinstance(status, str) else None
    if word is None:
        message = f"{who}: its status is {str(status)[:40]!r}, a word we do not know"
        raise BackendError(message, kind=FailureKind.VENDOR_INTERNAL, money_moved="maybe")
    if word in ("queued", "running"):
        progress = row.get("progress")
        known = isinstance(progress, int | float) and not isinstance(progress, bool) and 0 <= progress <= 1
        return JobState(state=word, progress=progress if known else None)
    credits = _credits(row)
    usage = None if credits is None else Usage(credits=credits)
    # The code does not say what is charged: moderation may be, and a failure may be given back.
    moved: MoneyMoved = "maybe" if credits is None else "yes" if credits else "no"
    if word == "succeeded" and output(row):
        return JobState(state=word, progress=1.0, usage=usage, money_moved="yes" if credits is None else moved)
    kind, message = _why(word, row)
    ended: _Word = "failed" if word == "succeeded" else word
    return JobState(state=ended, usage=usage, money_moved=moved, kind=kind, message=message)


def output(row: Mapping[str, Any]) -> str:
    """Return the address of the first file that a task made, or an empty string."""
    found = row.get("output")
    return next((one for one in found if isinstance(one, str) and one), "") if isinstance(found, list) else ""


def not_accepted(status: int, said: str, headers: Mapping[str, str], *, who: str) -> SubmitRejected | SubmitAmbiguous:
    """Return what an answer to a submission means that is no success."""
    message = f"{who}: HTTP {status}: {_quoted(said)}"
    kind = _REFUSED.get(status)
    if kind is None:
        return SubmitAmbiguous(message, kind=FailureKind.TRANSIENT)
    wait = _retry_after(headers) if status == 429 else None
    if status == 429 and not _DAILY.search(said) and (wait is not None or _RATE.search(said)):
        kind = FailureKind.RATE_LIMITED
    if status == 400 and _BROKE.search(said):
        kind = FailureKind.QUOTA_EXHAUSTED
    elif status == 400 and _MODERATED.search(said):
        kind = FailureKind.MODERATED
    return SubmitRejected(message, kind=kind, retry_after=wait if kind is FailureKind.RATE_LIMITED else None)


def no_answer(status: int, said: str, *, who: str) -> BackendError:
    """Return what an answer to a question means that is no success. What was bought is as it was."""
    kinds = {401: FailureKind.AUTH, 403: FailureKind.AUTH, 404: FailureKind.GONE, 429: FailureKind.RATE_LIMITED}
    other = FailureKind.TRANSIENT if status >= 500 or status == 408 else FailureKind.VENDOR_INTERNAL
    return BackendError(f"{who}: HTTP {status}: {_quoted(said)}", kind=kinds.get(status, other), money_moved="maybe")


def _why(word: _Word, row: Mapping[str, Any]) -> tuple[FailureKind, str]:
    if word == "succeeded":
        return FailureKind.VENDOR_INTERNAL, "it succeeded without a video"
    if word == "cancelled":
        return FailureKind.GONE, "it was cancelled at the vendor"
    code = str(row.get("failureCode") or "")
    kind = next((kind for pattern, kind in _FAILURES if pattern.match(code)), FailureKind.VENDOR_INTERNAL)
    return kind, f"{_quoted(code) or 'no failure code'}: {_quoted(str(row.get('failure') or 'no reason given'))}"


def _credits(row: Mapping[str, Any]) -> Decimal | None:
    """What a task that ended was charged in the end; None where that is not told."""
    cost = row.get("cost")
    told = cost.get("credits") if isinstance(cost, Mapping) else None
    if isinstance(told, bool) or not isinstance(told, int | float):
        return None
    try:
        credits = Decimal(str(told))
    except InvalidOperation:
        return None
    return credits if credits.is_finite() and 0 <= credits <= _MOST_CREDITS else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds until the vendor takes requests again: said as a number, or as a time, by the vendor's own clock if it tells it."""
    told = headers.get("retry-after", "")
    if re.fullmatch(r"\d{1,9}(\.\d+)?", told):
        return float(told)
    again = _moment(told)
    if again is None:
        return None
    return max(0.0, (again - (_moment(headers.get("date", "")) or datetime.now(UTC))).total_seconds())


def _moment(told: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(told)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _quoted(text: str) -> str:
    """The vendor's sentence on one line, short, and without what follows a `?` in an address: it may be signed."""
    return re.sub(r"\?\S*=\S*", "?…", " ".join(text.split()))[:300]
