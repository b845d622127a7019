"""The emulated Gemini: it wants the key, books what it bills, and judges by nothing but what it was sent."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from aiprod.emulators.gemini import COMMAND
from aiprod.emulators.running import Vendors

PATH = "/v1beta/models/gemini-3.8-flash:generateContent"
QUESTION = {"prompt": "a fox", "checklist": [{"id": "1", "is_there": "a fox"}, {"id": "2", "is_there": "an umbrella"}]}


def ask(vendors: Vendors, clip: bytes = b"clip", **changes: Any) -> httpx.Response:
    data = base64.b64encode(clip).decode()
    parts = [{"inlineData": {"data": data, "mimeType": "video/mp4"}, "videoMetadata": {"fps": 4}}, {"text": json.dumps(QUESTION)}]
    body = {"contents": [{"parts": parts}], "generationConfig": {"seed": 1}} | changes
    with httpx.Client(trust_env=False) as http:
        return http.post(vendors.url + PATH, json=body, headers={"x-goog-api-key": vendors.key("gemini")})


def words(answer: httpx.Response) -> dict[str, str]:
    said = json.loads(answer.json()["candidates"][0]["content"]["parts"][0]["text"])
    return {line["id"]: line["verdict"] for line in said["checklist"]}


def test_what_the_prompt_names_is_there_and_anything_else_is_not(vendors: Vendors) -> None:
    assert words(ask(vendors)) == {"1": "yes", "2": "no"}


def test_the_bill_is_what_the_tokens_cost(vendors: Vendors) -> None:
    usage = ask(vendors).json()["usageMetadata"]
    spent = usage["promptTokenCount"] * 750_000 + (usage["candidatesTokenCount"] + usage["thoughtsTokenCount"]) * 3_750_000
    (accept,) = vendors.accepts("gemini")
    assert accept["billable_micros"] == -(-spent // 1_000_000)
    assert "inlineData" not in json.dumps(accept["body"])


def test_a_gullible_one_does_what_the_clip_says_and_an_honest_one_does_not(vendors: Vendors) -> None:
    assert words(ask(vendors, COMMAND)) == {"1": "yes", "2": "no"}
    vendors.rule("gemini", "gullible")
    assert words(ask(vendors, COMMAND)) == {"1": "yes", "2": "yes"}
    assert words(ask(vendors)) == {"1": "yes", "2": "no"}


@pytest.mark.parametrize("contents", [[], [{"parts": [{"text": "no clip"}]}]])
def test_a_request_without_a_clip_is_refused_and_not_billed(vendors: Vendors, contents: list[Any]) -> None:
    assert ask(vendors, contents=contents).status_code == 400
    assert vendors.accepts("gemini") == []


def test_without_its_key_nothing_is_answered(vendors: Vendors) -> None:
    with httpx.Client(trust_env=False) as http:
        answer = http.post(vendors.url + PATH, json={})
    assert answer.status_code == 400 and "API key not valid" in answer.text
    assert vendors.accepts("gemini") == []
