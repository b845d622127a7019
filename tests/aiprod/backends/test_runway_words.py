"""Every word of Runway's means one of ours, or is said aloud; who pays follows from what was charged."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from aiprod.backends.runway_words import no_answer, not_accepted, output, state
from aiprod.errors import BackendError, FailureKind, SubmitAmbiguous, SubmitRejected
from aiprod.models import JobState

VIDEO = "https://cdn.example/a.mp4?_jwt=SECRET"


def said(status: str, **more: Any) -> JobState:
    return state({"id": "t1", "status": status, **more}, who="runway t1")


# --- how a task is doing --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "ours"), [("PENDING", "queued"), ("THROTTLED", "queued"), ("RUNNING", "running"), ("CANCELLED", "cancelled")]
)
def test_a_status_is_one_of_ours(status: str, ours: str) -> None:
    assert said(status).state == ours


def test_a_render_that_succeeded_has_a_video_and_a_bill() -> None:
    ended = said("SUCCEEDED", output=[VIDEO], cost={"credits": 60})
    assert (ended.state, ended.money_moved, ended.usage and ended.usage.credits) == ("succeeded", "yes", Decimal(60))


@pytest.mark.parametrize("status", ["DREAMING", "succeeded", "", None, 7, ["RUNNING"]])
def test_a_status_that_nobody_documented_is_an_error_and_never_an_end(status: Any) -> None:
    with pytest.raises(BackendError, match="a word we do not know"):
        state({"status": status}, who="runway t1")


@pytest.mark.parametrize(("told", "progress"), [(0.5, 0.5), (None, None), (7, None), (-1, None), (True, None), ("half", None)])
def test_progress_is_a_part_of_one_or_unknown(told: Any, progress: float | None) -> None:
    assert said("RUNNING", progress=told).progress == progress


@pytest.mark.parametrize("output", [[], None, [""], "https://cdn.example/a.mp4", [7]])
def test_a_success_without_a_video_is_a_failure_of_the_vendors_and_is_paid_if_it_was(output: Any) -> None:
    ended = said("SUCCEEDED", output=output, cost={"credits": 60})
    assert (ended.state, ended.kind, ended.money_moved) == ("failed", FailureKind.VENDOR_INTERNAL, "yes")
    assert ended.usage and ended.usage.credits == 60


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("SAFETY.INPUT.TEXT", FailureKind.MODERATED),
        ("SAFETY.OUTPUT.VIDEO", FailureKind.MODERATED),
        ("SAFETY", FailureKind.MODERATED),
        ("INPUT_PREPROCESSING.SAFETY.TEXT", FailureKind.MODERATED),
        ("INPUT_PREPROCESSING.SAFETY.THIRD_PARTY", FailureKind.MODERATED),
        ("ASSET.INVALID", FailureKind.INVALID_INPUT),
        ("THIRD_PARTY.INPUT_VALIDATION", FailureKind.INVALID_INPUT),
        ("INTERNAL.BAD_OUTPUT.CODE01", FailureKind.VENDOR_INTERNAL),
        ("INTERNAL", FailureKind.TRANSIENT),
        ("INPUT_PREPROCESSING.INTERNAL", FailureKind.TRANSIENT),
        ("THIRD_PARTY.UNAVAILABLE", FailureKind.TRANSIENT),
        ("INTERNALISED", FailureKind.VENDOR_INTERNAL),
        ("UNSAFETY.X", FailureKind.VENDOR_INTERNAL),
        ("SOMETHING.NEW", FailureKind.VENDOR_INTERNAL),
        (None, FailureKind.VENDOR_INTERNAL),
    ],
)
def test_a_failure_code_says_why(code: str | None, kind: FailureKind) -> None:
    ended = said("FAILED", failureCode=code, failure="It did not work.", cost={"credits": 0})
    assert (ended.kind, ended.state) == (kind, "failed")
    assert ended.message == f"{code or 'no failure code'}: It did not work."


@pytest.mark.parametrize("code", ["SAFETY.INPUT.TEXT", "INTERNAL", "INTERNAL.BAD_OUTPUT.CODE01"])
@pytest.mark.parametrize(
    ("cost", "moved", "credits"),
    [
        ({"credits": 60}, "yes", 60),
        ({"credits": 0.5}, "yes", Decimal("0.5")),
        ({"credits": 0}, "no", 0),
        ({"credits": -5}, "maybe", None),
        ({"credits": 1e300}, "maybe", None),
        ({"credits": True}, "maybe", None),
        ({"credits": float("nan")}, "maybe", None),
        ({"credits": float("inf")}, "maybe", None),
        ({"credits": "60"}, "maybe", None),
        ({}, "maybe", None),
        (None, "maybe", None),
        ("60", "maybe", None),
    ],
)
def test_who_pays_for_a_failure_is_what_was_charged_and_not_what_the_code_says(
    code: str, cost: Any, moved: str, credits: Any
) -> None:
    for status in ("FAILED", "CANCELLED"):
        ended = said(status, failureCode=code, cost=cost)
        assert ended.money_moved == moved
        assert (ended.usage.credits if ended.usage else None) == credits


def test_a_success_that_tells_no_cost_was_paid() -> None:
    assert (said("SUCCEEDED", output=[VIDEO]).money_moved, said("SUCCEEDED", output=[VIDEO]).usage) == ("yes", None)


def test_every_end_that_is_no_success_has_a_kind_and_a_reason() -> None:
    for ended in (said("FAILED"), said("CANCELLED"), said("SUCCEEDED")):
        assert ended.kind and ended.message


def test_a_reason_is_short_and_holds_no_signature() -> None:
    ended = said("FAILED", failureCode="INTERNAL", failure=f"could not write\n{VIDEO} {'x' * 5_000}")
    assert "SECRET" not in ended.message and "\n" not in ended.message and len(ended.message) < 400


def test_the_first_address_is_the_video() -> None:
    assert output({"output": [VIDEO, "https://cdn.example/b.wav"]}) == VIDEO


# --- what came of a submission --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (400, "Validation of body failed", FailureKind.INVALID_INPUT),
        (400, "You do not have enough credits to run this task.", FailureKind.QUOTA_EXHAUSTED),
        (400, "Insufficient credits.", FailureKind.QUOTA_EXHAUSTED),
        (400, "The request was not accepted by our content moderation.", FailureKind.MODERATED),
        (401, "The API key is not valid", FailureKind.AUTH),
        (402, "", FailureKind.QUOTA_EXHAUSTED),
        (403, "", FailureKind.AUTH),
        (404, "Not found", FailureKind.INVALID_INPUT),
        (405, "", FailureKind.INVALID_INPUT),
        (413, "", FailureKind.INVALID_INPUT),
        (415, "", FailureKind.INVALID_INPUT),
        (422, "", FailureKind.INVALID_INPUT),
        (429, "You have reached the daily generation limit of your tier.", FailureKind.QUOTA_EXHAUSTED),
        (429, "", FailureKind.QUOTA_EXHAUSTED),
        (429, "The rate limit was exceeded.", FailureKind.RATE_LIMITED),
    ],
)
def test_a_refusal_says_why_and_that_nothing_runs(status: int, text: str, kind: FailureKind) -> None:
    came = not_accepted(status, text, {}, who="runway")
    assert isinstance(came, SubmitRejected)
    assert (came.kind, came.money_moved, came.retry_after) == (kind, "no", None)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 408, 409, 425, 499, 500, 502, 503, 504, 529])
def test_whatever_is_no_refusal_may_have_been_accepted(status: int) -> None:
    came = not_accepted(status, "", {"retry-after": "3"}, who="runway")
    assert isinstance(came, SubmitAmbiguous)
    assert came.money_moved == "maybe"


NOON = "Mon, 23 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "30"}, 30),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "Mon, 23 Nov 2026 12:01:00 GMT", "date": NOON}, 60),
        ({"retry-after": "Mon, 23 Nov 2026 11:00:00 GMT", "date": NOON}, 0),
    ],
)
def test_a_rate_limit_is_waited_for_as_told(headers: dict[str, str], wait: float) -> None:
    came = not_accepted(429, "Too many requests.", headers, who="runway")
    assert isinstance(came, SubmitRejected)
    assert (came.kind, came.retry_after) == (FailureKind.RATE_LIMITED, wait)


def test_a_time_to_come_again_is_measured_by_our_clock_where_the_vendor_shows_none() -> None:
    came = not_accepted(429, "", {"retry-after": datetime(2099, 1, 1, tzinfo=UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")}, who="r")
    assert isinstance(came, SubmitRejected)
    assert came.retry_after is not None and came.retry_after > 0


@pytest.mark.parametrize("told", ["soon", "-5", "", "1e9", "9" * 40, "23 Nov"])
def test_a_time_to_come_again_that_is_none_is_not_waited_for(told: str) -> None:
    came = not_accepted(429, "", {"retry-after": told}, who="runway")
    assert isinstance(came, SubmitRejected)
    assert (came.kind, came.retry_after) == (FailureKind.QUOTA_EXHAUSTED, None)


def test_a_daily_limit_is_not_waited_for_even_when_it_is_told_how_long() -> None:
    came = not_accepted(429, "Daily limit reached.", {"retry-after": "3600"}, who="runway")
    assert isinstance(came, SubmitRejected)
    assert (came.kind, came.retry_after) == (FailureKind.QUOTA_EXHAUSTED, None)


# --- what came of a question ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, FailureKind.AUTH),
        (403, FailureKind.AUTH),
        (404, FailureKind.GONE),
        (408, FailureKind.TRANSIENT),
        (418, FailureKind.VENDOR_INTERNAL),
        (429, FailureKind.RATE_LIMITED),
        (301, FailureKind.VENDOR_INTERNAL),
        (500, FailureKind.TRANSIENT),
        (503, FailureKind.TRANSIENT),
    ],
)
def test_a_question_that_was_not_answered_leaves_the_money_where_it_was(status: int, kind: FailureKind) -> None:
    came = no_answer(status, "no", who="runway t1")
    assert (came.kind, came.money_moved, str(came)) == (kind, "maybe", f"runway t1: HTTP {status}: no")
