"""Every word of Replicate means one thing to us, and a word we were never told of means trouble."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aiprod.backends import replicate_words as words
from aiprod.errors import BackendError, FailureKind, SubmitAmbiguous, SubmitRejected
from aiprod.models import CancelOutcome, JobState, Usage

FILM = "https://replicate.delivery/x/film.mp4"
RAN = {"predict_time": 31.2, "total_time": 35.0}


def told(status: object, **row: Any) -> JobState:
    return words.state({"status": status, **row}, who="replicate p1")


@pytest.mark.parametrize(
    ("row", "state", "money"),
    [
        ({"status": "starting"}, "queued", "maybe"),
        ({"status": "processing"}, "running", "maybe"),
        ({"status": "succeeded", "output": FILM}, "succeeded", "yes"),
        ({"status": "succeeded", "output": None, "data_removed": True}, "succeeded", "yes"),
        ({"status": "succeeded", "output": None}, "failed", "yes"),
        ({"status": "failed", "error": "boom"}, "failed", "yes"),
        ({"status": "canceled"}, "cancelled", "no"),
        ({"status": "canceled", "metrics": RAN}, "cancelled", "yes"),
        ({"status": "canceled", "started_at": "2026-11-23T12:00:00Z"}, "cancelled", "yes"),
        ({"status": "aborted"}, "cancelled", "no"),
    ],
)
def test_every_status_has_its_word_and_says_whether_money_moved(row: dict[str, Any], state: str, money: str) -> None:
    said = words.state(row, who="replicate p1")
    assert (said.state, said.money_moved) == (state, money)
    assert said.state in ("queued", "running", "succeeded") or (said.kind and said.message)


@pytest.mark.parametrize("status", ["dreaming", "", None, 7, ["succeeded"], "SUCCEEDED", "cancelled"])
def test_a_status_nobody_told_us_of_is_an_error_and_not_running(status: object) -> None:
    with pytest.raises(BackendError, match="unknown status"):
        told(status)


def test_what_was_aborted_before_it_began_is_free_and_what_was_stopped_is_charged_for_what_ran() -> None:
    assert told("aborted").charged == 0
    assert told("canceled", metrics=RAN).usage == Usage(run_seconds=Decimal("31.2"))


def test_the_meter_is_read_and_not_the_clock() -> None:
    metered = {**RAN, "video_output_duration_seconds": 5}
    used = Usage(output_seconds=Decimal(5), run_seconds=Decimal("31.2"))
    assert told("succeeded", output=FILM, metrics=metered).usage == used


@pytest.mark.parametrize("value", [None, True, "5", -1, float("nan"), float("inf"), 10**9, [5]])
def test_a_meter_that_shows_no_seconds_is_no_meter(value: object) -> None:
    assert told("succeeded", output=FILM, metrics={"predict_time": value}).usage is None


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("The input or output was flagged as sensitive. Please try again. (E005) (abc)", FailureKind.MODERATED),
        ("NSFW content detected", FailureKind.MODERATED),
        ("Input validation error: image: cannot be fetched", FailureKind.INVALID_INPUT),
        ("Prediction interrupted; please retry (code: PA)", FailureKind.TRANSIENT),
        ("Service is temporarily unavailable: high demand. (E003)", FailureKind.TRANSIENT),
        ("The request timed out", FailureKind.TIMEOUT),
        ("CUDA out of memory", FailureKind.VENDOR_INTERNAL),
        ("", FailureKind.VENDOR_INTERNAL),
    ],
)
def test_a_failure_says_why(sentence: str, kind: FailureKind) -> None:
    assert told("failed", error=sentence).kind is kind


def test_a_long_sentence_stays_on_its_line() -> None:
    said = told("failed", error="a\nb\n" * 1_000).message
    assert "\n" not in said
    assert len(said) == 200


@pytest.mark.parametrize(
    ("output", "address"),
    [
        (FILM, FILM),
        ([FILM], FILM),
        (["https://replicate.delivery/x/poster.png", FILM], FILM),
        ({"video": FILM, "seed": 7}, FILM),
        ("https://replicate.delivery/x/film", "https://replicate.delivery/x/film"),
        (f"{FILM}?sig=1", f"{FILM}?sig=1"),
        *((nothing, "") for nothing in (None, "", [], {}, [None], 7)),
    ],
)
def test_the_video_is_found_in_text_list_and_object(output: object, address: str) -> None:
    assert words.output({"output": output}) == address


@pytest.mark.parametrize(
    ("status", "stopped", "refunded"),
    [
        ("canceled", "yes", "yes"),
        ("aborted", "yes", "yes"),
        ("succeeded", "no", "no"),
        ("failed", "no", "no"),
        ("processing", "unknown", "unknown"),
        (["x"], "unknown", "unknown"),
    ],
)
def test_cancelling_says_what_the_vendor_said(status: object, stopped: Any, refunded: Any) -> None:
    assert words.cancelled({"status": status}) == CancelOutcome(stopped=stopped, refunded=refunded)


def test_what_ran_before_it_was_stopped_is_not_given_back() -> None:
    assert words.cancelled({"status": "canceled", "metrics": RAN}) == CancelOutcome(stopped="yes", refunded="no")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, FailureKind.INVALID_INPUT),
        (401, FailureKind.AUTH),
        (402, FailureKind.QUOTA_EXHAUSTED),
        (403, FailureKind.AUTH),
        (404, FailureKind.GONE),
        (418, FailureKind.VENDOR_INTERNAL),
        (422, FailureKind.INVALID_INPUT),
        (429, FailureKind.RATE_LIMITED),
    ],
)
def test_a_refusal_is_named_for_what_it_means(status: int, kind: FailureKind) -> None:
    refused = words.not_accepted(status, "no", {}, who="replicate")
    assert isinstance(refused, SubmitRejected)
    assert refused.kind is kind
    assert words.no_answer(status, "no", who="replicate").kind is kind


@pytest.mark.parametrize("status", [204, 302, 408, 409, 425, 499, 500, 502, 503, 504, 520])
def test_a_submission_that_may_have_been_passed_on_is_never_called_refused(status: int) -> None:
    assert isinstance(words.not_accepted(status, "no", {}, who="replicate"), SubmitAmbiguous)


def test_a_prompt_refused_for_its_content_is_moderated() -> None:
    refused = words.not_accepted(422, "the prompt was flagged as sensitive", {}, who="replicate")
    assert refused.kind is FailureKind.MODERATED


@pytest.mark.parametrize(
    ("headers", "detail", "seconds"),
    [
        ({"retry-after": "7"}, "resets in ~30s", 7),
        ({}, "Request was throttled. Your rate limit resets in ~30s.", 30),
        ({"retry-after": "Mon, 23 Nov 2026 12:00:09 GMT", "date": "Mon, 23 Nov 2026 12:00:00 GMT"}, "", 9),
        ({"retry-after": "Mon, 23 Nov 2026 12:00:00 GMT", "date": "Mon, 23 Nov 2026 12:00:09 GMT"}, "", 0),
        ({"retry-after": "Mon, 23 Nov 2026 12:00:09 GMT"}, "", None),
        ({"retry-after": "soon"}, "later", None),
        ({"retry-after": "-5"}, "", None),
        ({"retry-after": "9" * 400}, "", None),
    ],
)
def test_when_to_come_again_is_read_from_the_header_or_the_sentence(
    headers: dict[str, str], detail: str, seconds: float | None
) -> None:
    refused = words.not_accepted(429, detail, headers, who="replicate")
    assert isinstance(refused, SubmitRejected)
    assert refused.retry_after == seconds


@pytest.mark.parametrize("text", ["", "yesterday", None, 5, "2026-13-01T00:00:00Z", "2026"])
def test_what_is_no_moment_is_none(text: object) -> None:
    assert words.moment(text) is None


def test_moments_with_nine_digits_and_without_a_zone_are_read_as_utc() -> None:
    nine, plain = words.moment("2023-09-08T16:32:56.990893084Z"), words.moment("2023-09-08T16:32:56.990893")
    assert nine == plain
    assert nine is not None
    assert nine.utcoffset() is not None
