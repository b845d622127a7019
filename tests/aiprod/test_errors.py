"""Errors say what they mean for the bill."""

from __future__ import annotations

import pytest

from aiprod import errors
from aiprod.errors import AiprodError, BudgetExceeded, FailureKind, JobConflict, SpecError, SubmitAmbiguous, SubmitRejected


def test_every_error_is_one_of_ours_and_is_exported():
    ours = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]
    assert all(issubclass(e, AiprodError) for e in ours)
    assert {e.__name__ for e in ours} <= set(errors.__all__)


def test_only_keeping_and_measuring_a_file_and_a_ledger_between_two_releases_are_worth_trying_again():
    """Doing a purchase again is the ledger's decision, never an exception's."""
    again = {name for name in errors.__all__ if getattr(getattr(errors, name), "retryable", False)}
    assert again == {"StorageError", "MeasuringInterrupted", "OtherRevision"}


def test_a_rejected_request_moved_no_money_and_an_unanswered_one_may_have():
    assert SubmitRejected("no", kind=FailureKind.AUTH).money_moved == "no"
    assert SubmitAmbiguous("?").money_moved == "maybe"
    assert SubmitAmbiguous("?").kind is FailureKind.TIMEOUT


def test_a_spec_error_has_one_line_per_problem():
    error = SpecError(["a: wrong", "b: wrong too"])
    assert str(error).splitlines() == list(error.problems) == ["a: wrong", "b: wrong too"]
    assert issubclass(JobConflict, SpecError)


@pytest.mark.parametrize(("wanted", "text"), [(400_000, "$0.40 wanted"), (2_000_001, "$2.000001 wanted")])
def test_a_budget_error_says_what_was_wanted_and_what_each_cap_has_left(wanted, text):
    error = BudgetExceeded(wanted, [("the day's budget d", 250_000), ("the envelope e", -20_000_000)])
    assert str(error) == f"{text}, but the day's budget d has $0.25 left; the envelope e has $0.00 left"
