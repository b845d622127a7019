"""What Vertex says is read in one way: every code it may give, and none that it may not."""

from __future__ import annotations

import pytest

from aiprod.backends.veo3_words import NAME, Operation, Refusal, Video, details_of, no_answer, not_accepted, state
from aiprod.errors import BackendError, FailureKind, SubmitAmbiguous, SubmitRejected

UNSAFE = "The prompt violates our Responsible AI practices. Support codes: 58061214"
FILM = Video(address="gs://bucket/a.mp4")
NAMED = "projects/p-1/locations/us-central1/publishers/google/models/veo-3.1-generate-001/operations/1f2e-3d"

STATES = {
    "runs": (Operation(), "running", None, "maybe"),
    "has a video": (Operation(done=True, videos=(FILM,)), "succeeded", None, "yes"),
    "has one of two": (Operation(done=True, videos=(FILM,), withheld=1), "succeeded", None, "yes"),
    "carries it": (Operation(done=True, videos=(Video(data=b"film"),)), "succeeded", None, "yes"),
    "withheld": (Operation(done=True, withheld=1, reasons=(UNSAFE,)), "failed", FailureKind.MODERATED, "no"),
    "nothing": (Operation(done=True), "failed", FailureKind.VENDOR_INTERNAL, "maybe"),
}


@pytest.mark.parametrize("case", STATES)
def test_an_operation_stands_as_it_says(case: str) -> None:
    operation, *expected = STATES[case]
    said = state(operation, who="veo3 1")
    assert [said.state, said.kind, said.money_moved] == expected
    assert bool(said.message) == (said.state == "failed")


CODES = {
    (3, "Invalid duration"): (FailureKind.INVALID_INPUT, "no"),
    (3, UNSAFE): (FailureKind.MODERATED, "no"),
    (4, "Deadline"): (FailureKind.TIMEOUT, "maybe"),
    (7, "Permission denied"): (FailureKind.AUTH, "no"),
    (8, "Try again later"): (FailureKind.RATE_LIMITED, "no"),
    (8, "Quota exceeded: requests per day"): (FailureKind.QUOTA_EXHAUSTED, "no"),
    (13, "Internal error"): (FailureKind.TRANSIENT, "maybe"),
    (14, "Unavailable"): (FailureKind.TRANSIENT, "maybe"),
    (16, "Unauthenticated"): (FailureKind.AUTH, "no"),
}


@pytest.mark.parametrize(("code", "message"), CODES)
def test_an_error_of_an_operation_has_one_meaning(code: int, message: str) -> None:
    said = state(Operation(done=True, error={"code": code, "message": message}), who="veo3 1")
    assert (said.kind, said.money_moved) == CODES[code, message]
    assert message in said.message


def test_every_code_of_google_but_ok_ends_a_render_and_no_other_does() -> None:
    assert {state(Operation(error={"code": n}), who="veo3").state for n in range(1, 17) if n != 6} == {"failed"}
    for strange in (0, 6, 17, -1, "13", None, 13.0):
        with pytest.raises(BackendError, match="unknown error code"):
            state(Operation(done=True, error={"code": strange, "message": "?"}), who="veo3 1")


@pytest.mark.parametrize("code", [200, 302, 408, 409, 425, 499, 500, 502, 503, 504, 0])
def test_what_may_have_been_passed_on_is_not_refused(code: int) -> None:
    error = not_accepted(Refusal(code, message="?"), who="veo3", hide="")
    assert isinstance(error, SubmitAmbiguous)


REFUSALS = {
    "key": (Refusal(400, message="API key not valid. Please pass a valid API key."), FailureKind.AUTH),
    "key, in the details": (Refusal(400, details=({"reason": "API_KEY_INVALID"},)), FailureKind.AUTH),
    "safety": (Refusal(400, message=UNSAFE), FailureKind.MODERATED),
    "billing": (Refusal(403, message="This API method requires billing to be enabled."), FailureKind.QUOTA_EXHAUSTED),
    "billing, in the details": (Refusal(403, details=({"reason": "BILLING_DISABLED"},)), FailureKind.QUOTA_EXHAUSTED),
    "billing of a 400": (Refusal(400, message="Billing account not active"), FailureKind.QUOTA_EXHAUSTED),
    "permission": (Refusal(403, message="Permission denied"), FailureKind.AUTH),
    "a model that is gone": (Refusal(404, message="Publisher Model was not found"), FailureKind.INVALID_INPUT),
    "too much": (Refusal(413), FailureKind.INVALID_INPUT),
    "the day": (Refusal(429, message="Quota exceeded for requests per day"), FailureKind.QUOTA_EXHAUSTED),
    "the minute": (Refusal(429, message="Quota exceeded for requests per minute"), FailureKind.RATE_LIMITED),
    "anything else": (Refusal(418), FailureKind.VENDOR_INTERNAL),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_has_one_meaning(case: str) -> None:
    refusal, kind = REFUSALS[case]
    error = not_accepted(refusal, who="veo3", hide="")
    assert isinstance(error, SubmitRejected)
    assert (error.kind, error.money_moved, error.retry_after) == (kind, "no", None)


@pytest.mark.parametrize(
    ("refusal", "wait"),
    [
        (Refusal(429, headers={"retry-after": "30"}), 30.0),
        (Refusal(429, details=({"retryDelay": "12.5s"},)), 12.5),
        (Refusal(429, headers={"retry-after": "soon"}), None),
        (Refusal(429, message="per day", headers={"retry-after": "30"}), None),
        (Refusal(403, headers={"retry-after": "30"}), None),
    ],
)
def test_when_to_come_again_is_only_what_was_said_and_only_for_a_limit(refusal: Refusal, wait: float | None) -> None:
    error = not_accepted(refusal, who="veo3", hide="")
    assert isinstance(error, SubmitRejected)
    assert error.retry_after == wait


def test_a_question_that_is_refused_moved_nothing_but_what_it_is_about_may_have() -> None:
    assert [no_answer(Refusal(code), who="veo3").kind for code in (404, 401, 429, 503)] == [
        FailureKind.GONE, FailureKind.AUTH, FailureKind.RATE_LIMITED, FailureKind.TRANSIENT
    ]  # fmt: skip
    assert no_answer(Refusal(404), who="veo3").money_moved == "maybe"


def test_a_sentence_is_told_short_and_without_the_prompt_and_tokens() -> None:
    prompt, token = "a secret  lighthouse\nat dawn", "ya29." + "x" * 60
    message = f"'a secret lighthouse at dawn' of {token} is " + "very " * 200 + "bad"
    told = str(not_accepted(Refusal(400, "INVALID_ARGUMENT", message), who="veo3", hide=prompt))
    assert "lighthouse" not in told
    assert token not in told
    assert told.startswith("veo3: HTTP 400 INVALID_ARGUMENT '[the prompt]' of … is very")
    assert len(told) < 350


def test_a_name_leads_nowhere_but_to_an_operation() -> None:
    assert NAME.fullmatch(NAMED)
    for strange in (NAMED + "/x", NAMED.replace("p-1", "a/b"), NAMED.replace("us-central1", "evil.example"), NAMED + "\n", ""):
        assert not NAME.fullmatch(strange)


def test_details_are_found_wherever_google_puts_them() -> None:
    one = {"reason": "BILLING_DISABLED"}
    assert list(details_of({"error": {"details": [one, "text"]}})) == [one]
    assert list(details_of({"details": [one]})) == [one]
    for nothing in (None, [], "text", {}, {"error": "text"}, {"error": {"details": None}}):
        assert list(details_of(nothing)) == []


def test_a_video_is_shown_by_its_size_and_not_by_itself() -> None:
    assert repr(Operation(videos=(Video(data=b"film" * 1_000),))).count("film") == 0
