"""A request and an answer, as every protocol here uses them."""

from __future__ import annotations

import pytest

from aiprod.emulators.house import Refused
from aiprod.emulators.wire import Answer, Request, stamp


def request(body: bytes = b"{}", **headers: str) -> Request:
    return Request("POST", "/", {}, headers, body, "http://127.0.0.1:1")


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b'"a"', b"\xff"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(Refused, match="no JSON object"):
        request(body).json()


@pytest.mark.parametrize(("header", "token"), [("Bearer a", "a"), ("bearer a", "a"), ("Basic a", ""), ("", "")])
def test_a_token_is_what_follows_bearer(header: str, token: str) -> None:
    assert request(authorization=header).bearer == token


def test_an_answer_is_json_or_bytes_or_nothing() -> None:
    assert [Answer(200, said).content for said in ({"a": 1}, b"x", None)] == [b'{"a": 1}', b"x", b""]


def test_a_time_is_said_as_vendors_say_it() -> None:
    assert stamp(0.25) == "1970-01-01T00:00:00.250Z"
    assert stamp(0.25, "microseconds") == "1970-01-01T00:00:00.250000Z"
