"""What Replicate's answers mean: statuses, errors and meters in our words. Pure.

Every table is closed: a status that is not in it raises, because a word read as "still running" would be watched for ever.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from aiprod.errors import BackendError, FailureKind, SubmitAmbiguous, SubmitRejected
from aiprod.models import CancelOutcome, JobState, Usage

__all__ = ["cancelled", "moment", "no_answer", "not_accepted", "output", "retry_after", "state"]

_RUNNING: dict[str, Literal["queued", "running"]] = {"starting": "queued", "processing": "running"}
_ENDED = ("succeeded", "failed", "canceled", "aborted")
_BY_STATUS = {
    400: FailureKind.INVALID_INPUT,
    401: FailureKind.AUTH,
    402: FailureKind.QUOTA_EXHAUSTED,
    403: FailureKind.AUTH,
    404: FailureKind.GONE,
    410: FailureKind.GONE,
    413: FailureKind.INVALID_INPUT,
    422: FailureKind.INVALID_INPUT,
    429: FailureKind.RATE_LIMITED,
}
#: A server that lost patience with us, or a proxy before it, may have passed the request on.
_CANNOT_TELL = (408, 409, 425, 499)
#: A failed render has a sentence and no code. The first that fits says why.
_SENTENCES = (
    (re.compile(r"\bE005\b|nsfw|sensitive|flagged", re.I), FailureKind.MODERATED),
    (re.compile(r"^\W*input validation|invalid input", re.I), FailureKind.INVALID_INPUT),
    (re.compile(r"interrupted|high demand|capacity", re.I), FailureKind.TRANSIENT),
    (re.compile(r"timed? ?out|deadline", re.I), FailureKind.TIMEOUT),
)
_RESETS = re.compile(r"resets in ~?(\d+(?:\.\d+)?)\s*s", re.I)
_FILM = re.compile(r"\.(mp4|webm|mov|m4v)(\?|$)", re.I)
_MOST_SAID = 200


def state(row: Mapping[str, Any], *, who: str) -> JobState:
    """Return a prediction as our `JobState`. Raises `BackendError` for a status that nobody told us of."""
    status = str(row.get("status"))
    if status in _RUNNING:
        return JobState(state=_RUNNING[status])
    if status not in _ENDED:
        raise BackendError(f"{who}: unknown status {status[:40]!r}", kind=FailureKind.VENDOR_INTERNAL, money_moved="maybe")
    usage = _usage(row)
    if status == "aborted":
        # Its deadline came before it began; that is free.
        told = _sentence(row) or "its deadline came before it began"
        return JobState(state="cancelled", kind=FailureKind.TIMEOUT, message=told, charged=0, money_moved="no")
    if status == "canceled" and not _ran(row):
        return JobState(
            state="cancelled", kind=FailureKind.TIMEOUT, message="stopped before it began", charged=0, money_moved="no"
        )
    if status == "canceled":
        told = _sentence(row) or "stopped by somebody or by its deadline; what ran is charged"
        return JobState(state="cancelled", kind=FailureKind.TIMEOUT, message=told, usage=usage, money_moved="yes")
    if status == "succeeded" and (row.get("data_removed") or output(row)):
        return JobState(state="succeeded", progress=1.0, usage=usage, money_moved="yes")
    told = _sentence(row) or ("succeeded without a video" if status == "succeeded" else "failed without a reason")
    return JobState(state="failed", kind=_why(told), message=told, usage=usage, money_moved="yes")


def output(row: Mapping[str, Any]) -> str:
    """Return the address of the video in a prediction's output, or an empty string. The output may be text, list or object."""
    said = row.get("output")
    several = said.values() if isinstance(said, dict) else said if isinstance(said, list) else [said]
    addresses = [value for value in several if isinstance(value, str) and value]
    return next((address for address in addresses if _FILM.search(address)), next(iter(addresses), ""))


def cancelled(row: Mapping[str, Any]) -> CancelOutcome:
    """Return what the answer to a cancellation says. What still runs then may yet stop, or finish."""
    outcomes = {
        "canceled": CancelOutcome(stopped="yes", refunded="no" if _ran(row) else "yes"),
        "aborted": CancelOutcome(stopped="yes", refunded="yes"),
        "succeeded": CancelOutcome(stopped="no", refunded="no"),
        "failed": CancelOutcome(stopped="no", refunded="no"),
    }
    return outcomes.get(str(row.get("status")), CancelOutcome(stopped="unknown", refunded="unknown"))


def no_answer(status: int, detail: str, *, who: str) -> BackendError:
    """Return the error of a question that was answered with anything but 200. Asking moves no money; what it is about may."""
    kind = FailureKind.TRANSIENT if status >= 500 else _BY_STATUS.get(status, FailureKind.VENDOR_INTERNAL)
    return BackendError(_told(who, status, detail), kind=kind, money_moved="maybe")


def not_accepted(status: int, detail: str, headers: Mapping[str, str], *, who: str) -> SubmitRejected | SubmitAmbiguous:
    """Return the error of a submission that was answered with anything but an acceptance."""
    if status in _CANNOT_TELL or not 400 <= status < 500:
        return SubmitAmbiguous(f"{_told(who, status, detail)}; it may run", kind=FailureKind.TRANSIENT)
    kind = _BY_STATUS.get(status, FailureKind.VENDOR_INTERNAL)
    if kind is FailureKind.INVALID_INPUT and _why(detail) is FailureKind.MODERATED:
        kind = FailureKind.MODERATED
    wait = retry_after(headers, detail) if kind is FailureKind.RATE_LIMITED else None
    return SubmitRejected(_told(who, status, detail), kind=kind, retry_after=wait)


def retry_after(headers: Mapping[str, str], detail: str) -> float | None:
    """Return when to come again, in seconds from now: from the header, else from the sentence; None where neither says."""
    said = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,6}(\.\d+)?", said):
        return float(said)
    then, now = moment(said), moment(headers.get("date", ""))
    if then is not None and now is not None:
        return max(0.0, (then - now).total_seconds())
    found = _RESETS.search(detail)
    return float(found[1]) if found else None


def moment(text: object) -> datetime | None:
    """Return the time that a header (`Mon, 23 Nov 2026 …`) or a field (`2026-11-23T…Z`) says, or None."""
    if not isinstance(text, str) or not text:
        return None
    try:
        read = datetime.fromisoformat(text) if text[:4].isdigit() else parsedate_to_datetime(text)
    except ValueError:
        return None
    return read if read.tzinfo is not None else read.replace(tzinfo=UTC)


def _ran(row: Mapping[str, Any]) -> bool:
    """Whether a render that ended had begun: the time it ran is what stopping it costs."""
    used = _usage(row)
    return bool(row.get("started_at")) or (used is not None and used.run_seconds is not None)


def _usage(row: Mapping[str, Any]) -> Usage | None:
    metrics = row.get("metrics")
    if not isinstance(metrics, dict):
        return None
    made, ran = (_seconds(metrics.get(name)) for name in ("video_output_duration_seconds", "predict_time"))
    return None if made is None and ran is None else Usage(output_seconds=made, run_seconds=ran)


def _seconds(value: object) -> Decimal | None:
    """A length as the meter shows it; what is no length of a video or a run is not money."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1_000_000:
        return None
    return Decimal(str(value))


def _sentence(row: Mapping[str, Any]) -> str:
    error = row.get("error")
    return " ".join(str(error).split())[:_MOST_SAID] if error else ""


def _why(sentence: str) -> FailureKind:
    return next((kind for pattern, kind in _SENTENCES if pattern.search(sentence)), FailureKind.VENDOR_INTERNAL)


def _told(who: str, status: int, detail: str) -> str:
    said = " ".join(detail.split())[:_MOST_SAID]
    return f"{who}: HTTP {status}" + (f": {said}" if said else "")
