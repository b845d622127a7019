"""Domain errors, told to Airflow in the one word it asks for: retry, or not."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.exceptions import AirflowFailException

from aiprod.errors import AiprodError, SpecError

__all__ = ["OrderRefused", "retry_unless_refused", "told_to_airflow"]

log = logging.getLogger(__name__)


class OrderRefused(SystemExit):
    """A bad order. Airflow logs a SystemExit in one line; any other exception costs the reader a traceback."""


def retry_unless_refused() -> ExceptionRetryPolicy:
    """Retry what may pass by itself, such as a busy database; never an order that was refused."""
    return ExceptionRetryPolicy(
        rules=[
            RetryRule(exception=OrderRefused, action=RetryAction.FAIL, reason="the order was refused"),
            RetryRule(exception=Exception, action=RetryAction.RETRY, retry_delay=timedelta(seconds=10)),
        ]
    )


@contextmanager
def told_to_airflow() -> Iterator[None]:
    """Let a retryable error fail the try; turn any other into a failure without retries, said in plain lines."""
    try:
        yield
    except SpecError as error:
        for problem in error.problems:
            log.error("Order refused: %s", problem)
        raise OrderRefused(f"order refused: {'; '.join(error.problems)}") from None
    except AiprodError as error:
        # The log's first lines are what people read; the exception's own text hides behind its traceback.
        for line in str(error).splitlines():
            log.error("%s", line)
        if error.retryable:
            raise
        raise AirflowFailException(str(error)) from None
