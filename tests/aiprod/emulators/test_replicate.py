"""Replicate's protocol, held against Replicate's own OpenAPI document, and what goes wrong on order."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

MODEL = "/v1/models/wan-video/wan-2.5-t2v"
PREDICTION = "schemas_prediction_response"


@pytest.fixture
def create(ask: Any) -> Any:
    def asked(prompt: str = "a kite", headers: dict[str, str] | None = None, **given: Any) -> httpx.Response:
        body = {"input": {"prompt": prompt, "size": "832*480"} | given}
        said: httpx.Response = ask("replicate", "POST", f"{MODEL}/predictions", body, **(headers or {}))
        return said

    return asked


@pytest.fixture
def ended(ask: Any, create: Any) -> Any:
    return lambda prompt: ask("replicate", "GET", f"/v1/predictions/{create(prompt).json()['id']}").json()


def at(seconds: float) -> str:
    return quote(datetime.fromtimestamp(seconds, UTC).isoformat())


def test_every_answer_fits_their_own_document(ask: Any, create: Any, ended: Any, vendors: Any, fits_replicate: Any) -> None:
    words = ("ok", "fail", "moderated", "aborted", "empty", "hang", "queue:9")
    answers = [create().json(), *(ended(f"[[replicate={word}]]") for word in words)]
    answers.append(ask("replicate", "POST", f"/v1/predictions/{answers[-1]['id']}/cancel").json())
    vendors.advance(3 * 3600)
    answers.append(ask("replicate", "GET", f"/v1/predictions/{answers[1]['id']}").json())
    assert [misfit for said in answers for misfit in fits_replicate(PREDICTION, said)] == []
    assert {said["status"] for said in answers} == {"starting", "processing", "succeeded", "failed", "canceled", "aborted"}
    assert fits_replicate("schemas_paginated_prediction_response", ask("replicate", "GET", "/v1/predictions").json()) == []
    page = ask("replicate", "GET", MODEL).json()
    assert fits_replicate("schemas_model_response", page) == []
    assert fits_replicate("schemas_version_response", page["latest_version"]) == []


def test_an_answer_that_breaks_the_document_is_noticed(create: Any, fits_replicate: Any) -> None:
    said = create().json() | {"started_at": None, "status": "dreaming"}
    assert len(fits_replicate(PREDICTION, said)) == 2


def test_a_prediction_is_created_asked_for_and_fetched(client: httpx.Client, create: Any, ended: Any, vendors: Any) -> None:
    begun = create()
    assert (begun.status_code, begun.json()["status"]) == (201, "starting")
    done = ended("a")
    assert (done["status"], done["metrics"]["video_output_duration_seconds"]) == ("succeeded", 5)
    assert done["id"].encode() in client.get(done["output"]).content
    booked = vendors.accepts("replicate")[-1]
    assert (booked["model"], booked["seconds"], booked["price_micros"]) == ("wan-video/wan-2.5-t2v", 5, 500_000)


def test_a_version_names_its_model(ask: Any, vendors: Any) -> None:
    version = ask("replicate", "GET", MODEL).json()["latest_version"]["id"]
    for name in (version, "wan-video/wan-2.5-t2v", f"wan-video/wan-2.5-t2v:{version}"):
        assert ask("replicate", "POST", "/v1/predictions", {"version": name, "input": {"prompt": "a"}}).status_code == 201
    assert {booked["model"] for booked in vendors.accepts()} == {"wan-video/wan-2.5-t2v"}
    assert ask("replicate", "POST", "/v1/predictions", {"version": "no/body", "input": {"prompt": "a"}}).status_code == 404


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"prompt": ""}, "prompt"),
        ({"duration": 7}, "duration"),
        ({"size": "1*1"}, "size"),
        ({"seed": "x"}, "seed"),
        ({"fps": 1}, "fps"),
    ],
)
def test_an_input_that_breaks_the_schema_is_refused_and_says_where(create: Any, vendors: Any, given: Any, field: str) -> None:
    said = create(**given)
    assert (said.status_code, said.json()["title"]) == (422, "Input validation failed")
    assert f"input.{field}" in said.json()["detail"]
    assert vendors.accepts() == []


@pytest.mark.parametrize(("word", "status", "title"), [("broke", 402, "Insufficient credit"), ("refuse:503", 503, "Error")])
def test_a_refusal_is_said_as_they_say_it(create: Any, vendors: Any, word: str, status: int, title: str) -> None:
    said = create(f"[[replicate={word}]]")
    assert (said.status_code, said.json()["title"]) == (status, title)
    assert vendors.accepts() == []


def test_who_is_throttled_is_told_in_words(create: Any) -> None:
    said = [create(f"[[replicate=refuse:429{seconds}]]") for seconds in ("", ":7")]
    assert [one.json()["detail"][-5:] for one in said] == ["~30s.", " ~7s."]
    assert [one.headers.get("retry-after") for one in said] == [None, "7"]


def test_a_wrong_key_and_no_key_are_refused(client: httpx.Client, ask: Any, vendors: Any) -> None:
    said = ask("replicate", "GET", "/v1/account", Authorization="Bearer no")
    assert (said.status_code, said.json()["title"]) == (401, "Unauthenticated")
    assert client.get(f"{vendors.url}/v1/account").status_code == 401
    assert ask("replicate", "GET", "/v1/account").json()["type"] == "organization"


@pytest.mark.parametrize("word", ["moderated", "moderated-late"])
def test_what_is_flagged_fails_with_their_code_and_is_free(ended: Any, vendors: Any, word: str) -> None:
    said = ended(f"[[replicate={word}]]")
    assert said["status"] == "failed" and "(E005)" in said["error"]
    assert vendors.accepts()[0]["billable_micros"] == 0


def test_other_ends_are_theirs_too(ended: Any) -> None:
    assert ended("[[replicate=strange]]")["status"] == "dreaming"
    assert ended("[[replicate=empty]]")["output"] is None
    aborted = ended("[[replicate=aborted]]")
    assert aborted["status"] == "aborted" and aborted["output"] is None


def test_a_bill_other_than_the_price_is_metered(ended: Any, vendors: Any) -> None:
    assert ended("[[replicate=bill:1.4]]")["metrics"]["video_output_duration_seconds"] == 7
    assert vendors.accepts()[0]["billable_micros"] == 700_000


def test_cancelling_charges_the_time_it_ran(ask: Any, create: Any, vendors: Any) -> None:
    made = [create(f"[[replicate={word}]]").json() for word in ("slow:100", "queue:999")]
    vendors.advance(50)
    said = [ask("replicate", "POST", urlsplit(one["urls"]["cancel"]).path).json() for one in made]
    assert [one["status"] for one in said] == ["canceled", "canceled"]
    assert [booked["billable_micros"] for booked in vendors.accepts()] == [pytest.approx(250_000, rel=0.05), 0]
    done = create().json()
    assert ask("replicate", "POST", f"/v1/predictions/{done['id']}/cancel").json()["status"] == "succeeded"


def test_a_deadline_stops_it(ask: Any, create: Any, vendors: Any) -> None:
    ids = [create(f"[[replicate={word}]]", {"Cancel_After": "1m30s"}).json()["id"] for word in ("hang", "queue:999", "ok")]
    vendors.advance(91)
    said = [ask("replicate", "GET", f"/v1/predictions/{one}").json()["status"] for one in ids]
    assert said == ["canceled", "aborted", "succeeded"]
    assert [booked["billable_micros"] for booked in vendors.accepts()] == [500_000, 0, 500_000]
    assert create("a", {"Cancel_After": "soon"}).status_code == 422


def test_data_is_gone_after_an_hour(client: httpx.Client, ask: Any, ended: Any, vendors: Any) -> None:
    done = ended("a")
    vendors.advance(3601)
    later = ask("replicate", "GET", f"/v1/predictions/{done['id']}").json()
    assert (later["data_removed"], later["input"], later["output"]) == (True, {}, None)
    assert client.get(done["output"]).status_code == 404


def test_the_first_address_can_have_expired_already(client: httpx.Client, ask: Any, create: Any) -> None:
    path = f"/v1/predictions/{create('[[replicate=expired]]').json()['id']}"
    assert [client.get(ask("replicate", "GET", path).json()["output"]).status_code for _ in range(2)] == [404, 200]


def test_a_listing_shows_what_was_asked_in_a_window_newest_first_after_its_lag(ask: Any, create: Any, vendors: Any) -> None:
    def listed(query: str = "") -> list[str]:
        return [one["input"]["prompt"] for one in ask("replicate", "GET", f"/v1/predictions{query}").json()["results"]]

    for prompt in ("one", "two", "[[replicate=lag:60]]"):
        create(prompt)
        vendors.advance(10)
    assert listed() == ["two", "one"]
    second = vendors.accepts()[1]["at"]
    assert listed(f"?created_after={at(second - 1)}") == ["two"]
    assert listed(f"?created_before={at(second - 1)}") == ["one"]
    vendors.advance(60)
    assert listed()[0] == "[[replicate=lag:60]]"
    assert ask("replicate", "GET", "/v1/predictions?created_after=yesterday").status_code == 400


def test_a_long_listing_comes_in_pages_that_overlap_nowhere(ask: Any, create: Any, vendors: Any) -> None:
    for n in range(103):
        create(str(n))
    after = at(vendors.accepts()[0]["at"] - 1)
    first = ask("replicate", "GET", f"/v1/predictions?created_after={after}").json()
    create("newer than the cursor")
    further = urlsplit(first["next"])
    rest = ask("replicate", "GET", f"{further.path}?{further.query}").json()
    prompts = [one["input"]["prompt"] for one in first["results"] + rest["results"]]
    assert prompts == [str(n) for n in reversed(range(103))]
    assert rest["next"] is None


def test_answers_carry_the_vendors_own_clock(ask: Any, vendors: Any) -> None:
    vendors.advance(7_200)
    ahead = parsedate_to_datetime(ask("replicate", "GET", "/v1/account").headers["date"]) - datetime.now(UTC)
    assert ahead.total_seconds() == pytest.approx(7_200, abs=5)
