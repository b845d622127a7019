"""Everything that can go wrong, drawn once.

AiprodError
├── SpecError                the order is wrong; nothing happened. One line per field
│   └── JobConflict          the job id already names another order
├── ConfigError              a file in include/config/ or an environment variable is wrong
│   └── OtherRevision        the ledger's schema is another release's: somebody is upgrading
├── MoneyError               the ledger says no
│   ├── BudgetExceeded       a hold does not fit under every cap that applies
│   ├── KeyReused            one purchase, two different contents
│   ├── PurchasingStopped    the kill switch, a cancelled job or a dry run shut the door
│   └── StaleState           the purchase is not in a state that allows this step
├── BackendError             a vendor says no; carries the kind and whether money may have moved
│   ├── SubmitRejected       refused: nothing runs, nothing is billed
│   └── SubmitAmbiguous      no answer: it may be running, and billing
├── StorageError             a file could not be kept
├── ApiUnreachable           no AIPROD answers where one was looked for, or its answer was lost
├── ApiRefused               a running AIPROD said no
├── MeasuringInterrupted     a take could not be measured now, which says nothing about the take
├── NoticeRefused            a receiver did not take a notification
└── JobFailed                a job cannot be finished; the ledger says why
    ├── JobUnknown           no job of this id is in the ledger
    ├── JobMoved             the job is not any more what the caller saw; look again
    ├── NotAMember           the project is its members', and this person is none
    └── SamePerson           the preset wants another person's word than this one's
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar, Literal

__all__ = [
    "AiprodError",
    "ApiRefused",
    "ApiUnreachable",
    "BackendError",
    "BudgetExceeded",
    "ConfigError",
    "FailureKind",
    "JobConflict",
    "JobFailed",
    "JobMoved",
    "JobUnknown",
    "KeyReused",
    "MeasuringInterrupted",
    "MoneyError",
    "MoneyMoved",
    "NotAMember",
    "NoticeRefused",
    "OtherRevision",
    "PurchasingStopped",
    "SamePerson",
    "SpecError",
    "StaleState",
    "StorageError",
    "SubmitAmbiguous",
    "SubmitRejected",
]

MoneyMoved = Literal["no", "maybe", "yes"]


class FailureKind(StrEnum):
    """Why a backend did not deliver. The closed list that every adapter maps its vendor's words to."""

    TRANSIENT = "transient"
    RATE_LIMITED = "rate_limited"
    QUOTA_EXHAUSTED = "quota_exhausted"
    AUTH = "auth"
    INVALID_INPUT = "invalid_input"
    MODERATED = "moderated"
    TIMEOUT = "timeout"
    VENDOR_INTERNAL = "vendor_internal"
    GONE = "gone"


class AiprodError(Exception):
    """Base of every error this library raises on purpose."""

    #: Whether doing the same thing again could succeed. The Airflow side reads only this.
    retryable: ClassVar[bool] = False


class SpecError(AiprodError):
    """The order cannot be taken as written. `problems` holds one line per field."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class JobConflict(SpecError):
    """The job id already names a job with another spec."""


class ConfigError(AiprodError):
    """A configuration file or environment variable is wrong; the message names it."""


class OtherRevision(ConfigError):
    """The ledger's schema is another release's. Nothing was read or written; it passes when the upgrade is complete."""

    retryable = True


class MoneyError(AiprodError):
    """The ledger refused."""


def _dollars(amount: int) -> str:
    """To the last micro-dollar: `$10.00 wanted, but $10.00 left` would explain nothing."""
    whole, rest = divmod(amount, 1_000_000)
    digits = f"{rest:06d}"
    return f"${whole}.{digits[:2]}{digits[2:].rstrip('0')}"


class BudgetExceeded(MoneyError):
    """A hold does not fit under at least one cap. `short` says which, and how much each has left."""

    def __init__(self, wanted: int, short: Sequence[tuple[str, int]]) -> None:
        self.wanted = wanted
        self.short = tuple(short)
        left = "; ".join(f"{name} has {_dollars(max(0, free))} left" for name, free in self.short)
        super().__init__(f"{_dollars(wanted)} wanted, but {left}")


class KeyReused(MoneyError):
    """A purchase came back with different content than the first time."""


class PurchasingStopped(MoneyError):
    """No money may leave now: kill switch, cancelled job, expired envelope or dry run."""


class StaleState(MoneyError):
    """Another process moved the purchase on; look again before doing anything."""


class BackendError(AiprodError):
    """A vendor failed, in our words."""

    def __init__(self, message: str, *, kind: FailureKind, money_moved: MoneyMoved) -> None:
        self.kind = kind
        self.money_moved = money_moved
        super().__init__(message)


class SubmitRejected(BackendError):
    """The vendor refused the request; nothing runs and nothing will be billed.

    `retry_after` is when the vendor says to come again, in seconds; None when it does not.
    """

    def __init__(self, message: str, *, kind: FailureKind, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message, kind=kind, money_moved="no")


class SubmitAmbiguous(BackendError):
    """The request may have been accepted. Sending it again could pay twice."""

    def __init__(self, message: str, *, kind: FailureKind = FailureKind.TIMEOUT) -> None:
        super().__init__(message, kind=kind, money_moved="maybe")


class StorageError(AiprodError):
    """A file could not be written or read; what was paid for is still at the vendor."""

    retryable = True


class ApiUnreachable(AiprodError):
    """No AIPROD answered. With `sent`, the request may have arrived and been done: look before doing it again."""

    def __init__(self, message: str, *, sent: bool = False) -> None:
        self.sent = sent
        super().__init__(f"{message}; it may have been done all the same: look before you do it again" if sent else message)


class ApiRefused(AiprodError):
    """A running AIPROD refused; `status` is HTTP's. What another error of this page says is raised as that one."""

    def __init__(self, status: int, detail: str) -> None:
        self.status = status
        super().__init__(detail)


class MeasuringInterrupted(AiprodError):
    """The measuring process was ended from outside, or the machine is too busy. The take is neither good nor bad."""

    retryable = True


class NoticeRefused(AiprodError):
    """A receiver did not take a notification, or may have and did not say so. The relay tells it again, under the same id."""


class JobFailed(AiprodError):
    """A job ends without a delivery; the message says which shot and why."""


class JobUnknown(JobFailed):
    """No job of this id was ever entered."""


class JobMoved(JobFailed):
    """The job moved on from what the caller saw: another version, another amount, an answer, or a later state."""


class NotAMember(JobFailed):
    """Only members of a project that is listed order its jobs, start them, or have a word on them."""


class SamePerson(JobFailed):
    """Who ordered a job, or wrote its newest version, may not approve it where the preset wants a second person."""
