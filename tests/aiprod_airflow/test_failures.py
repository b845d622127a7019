"""Domain errors reach Airflow as retry, no retry, or one plain line."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import pytest
from airflow.sdk import RetryAction
from airflow.sdk.exceptions import AirflowFailException

from aiprod.errors import (
    AiprodError,
    BackendError,
    BudgetExceeded,
    ConfigError,
    FailureKind,
    JobConflict,
    JobFailed,
    KeyReused,
    PurchasingStopped,
    SpecError,
    StaleState,
    StorageError,
    SubmitAmbiguous,
    SubmitRejected,
)
from aiprod_airflow.failures import OrderRefused, retry_unless_refused, told_to_airflow

EVERY_ERROR: list[AiprodError] = [
    BackendError("gone", kind=FailureKind.GONE, money_moved="maybe"),
    BudgetExceeded(5, [("day", 1)]),
    ConfigError("no such file"),
    JobFailed("no take"),
    KeyReused("two contents"),
    PurchasingStopped("no approval"),
    StaleState("moved on"),
    StorageError("disk full"),
    SubmitAmbiguous("no answer"),
    SubmitRejected("503", kind=FailureKind.TRANSIENT),
]


def told(error: BaseException) -> BaseException:
    with pytest.raises(BaseException) as caught, told_to_airflow():  # noqa: PT011 - whatever comes is what is looked at
        raise error
    return caught.value


@pytest.mark.parametrize("error", EVERY_ERROR, ids=lambda error: type(error).__name__)
def test_airflow_retries_what_may_pass_by_itself_and_nothing_else(error: AiprodError) -> None:
    if error.retryable:
        assert told(error) is error
    else:
        assert type(told(error)) is AirflowFailException
        assert str(told(error)) == str(error)


def test_what_the_library_did_not_foresee_passes_untouched() -> None:
    unforeseen = ZeroDivisionError("a bug")

    assert told(unforeseen) is unforeseen


def test_a_failure_shows_no_traceback_of_the_library() -> None:
    shown = "".join(traceback.format_exception(told(JobFailed("shot 1 has no take"))))

    assert "During handling" not in shown
    assert "direct cause" not in shown
    assert "aiprod.errors.JobFailed" not in shown


@pytest.mark.parametrize("kind", [SpecError, JobConflict])
def test_a_refused_order_is_one_line_in_the_log_per_problem(kind: type[SpecError], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        refused = told(kind(["seconds: too long", "promt: unknown field"]))

    assert [record.getMessage() for record in caplog.records] == [
        "Order refused: seconds: too long",
        "Order refused: promt: unknown field",
    ]
    assert all(record.exc_info is None for record in caplog.records)
    assert isinstance(refused, SystemExit)
    assert str(refused) == "order refused: seconds: too long; promt: unknown field"


def test_a_refused_order_is_no_ordinary_exception() -> None:
    """Airflow logs an Exception with its traceback and a SystemExit in one line."""
    assert issubclass(OrderRefused, SystemExit)
    assert not issubclass(OrderRefused, Exception)


class TestRetryPolicy:
    @pytest.mark.parametrize("attempt", [1, 2])
    def test_a_refused_order_is_never_tried_again(self, attempt: int) -> None:
        decided = retry_unless_refused().evaluate(OrderRefused("no"), try_number=attempt, max_tries=2)

        assert decided.action is RetryAction.FAIL

    @pytest.mark.parametrize("error", [StorageError("busy"), TimeoutError(), RuntimeError("database is locked")])
    def test_anything_else_is_tried_again_soon(self, error: Exception) -> None:
        decided = retry_unless_refused().evaluate(error, try_number=1, max_tries=2)

        assert decided.action is RetryAction.RETRY
        assert decided.retry_delay is not None
        assert decided.retry_delay.total_seconds() <= 30

    def test_it_survives_being_stored_with_the_dag(self) -> None:
        policy = retry_unless_refused()
        stored: Any = type(policy).deserialize(policy.serialize())

        assert stored.evaluate(OrderRefused("no"), try_number=1, max_tries=2).action is RetryAction.FAIL
        assert stored.evaluate(OSError(), try_number=1, max_tries=2).action is RetryAction.RETRY
