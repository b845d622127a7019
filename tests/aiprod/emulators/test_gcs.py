"""The bucket that Veo writes to: what is listed, when, and what an object says of itself."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import quote

import pytest

from aiprod.emulators.google_access import PROJECT

MODEL = f"/v1beta1/projects/{PROJECT}/locations/us-central1/publishers/google/models/veo-3.1-generate-001"
OBJECTS = f"/storage/v1/b/{PROJECT}/o"


@pytest.fixture
def predict(ask: Any) -> Any:
    def ordered(prompt: str = "a kite", key: str = "k1", **parameters: Any) -> Any:
        wanted = {"durationSeconds": 4, "generateAudio": False, "storageUri": f"gs://{PROJECT}/veo3/{key}/"} | parameters
        return ask("veo3", "POST", f"{MODEL}:predictLongRunning", {"instances": [{"prompt": prompt}], "parameters": wanted})

    return ordered


@pytest.fixture
def listed(ask: Any) -> Any:
    def names(prefix: str = "", **query: Any) -> list[str]:
        more = "".join(f"&{name}={value}" for name, value in query.items())
        return [item["name"] for item in ask("veo3", "GET", f"{OBJECTS}?prefix={prefix}{more}").json().get("items", [])]

    return names


def test_an_object_appears_when_the_video_is_made_and_under_its_own_prefix(predict: Any, listed: Any, vendors: Any) -> None:
    vendors.terms(seconds_per_render=60)
    predict()
    assert listed("veo3/k1/") == []
    vendors.advance(60)
    (name,) = listed("veo3/k1/")
    assert name.startswith("veo3/k1/") and name.endswith("/sample_0.mp4")
    assert listed("veo3/k2/") == []


def test_a_listing_can_lag(predict: Any, listed: Any, vendors: Any) -> None:
    vendors.terms(listing_lag=30)
    predict()
    predict("[[veo3=lag:60]]", "k2")
    assert listed() == []
    vendors.advance(31)
    assert len(listed()) == 1
    vendors.advance(60)
    assert len(listed()) == 2


@pytest.mark.parametrize("word", ["fail", "moderated-late", "empty", "hang"])
def test_what_did_not_become_a_video_is_not_there(predict: Any, listed: Any, word: str) -> None:
    predict(f"[[veo3={word}]]")
    assert listed() == []


def test_an_object_says_what_it_is_and_gives_its_bytes(predict: Any, listed: Any, ask: Any, fits_google: Any) -> None:
    predict()
    path = f"{OBJECTS}/{quote(listed()[0], safe='')}"
    said = ask("veo3", "GET", path).json()
    for file in (ask("veo3", "GET", f"{path}?alt=media"), ask("veo3", "GET", f"/download{path}?alt=media")):
        assert len(file.content) == int(said["size"])
        assert base64.b64encode(hashlib.md5(file.content, usedforsecurity=False).digest()).decode() == said["md5Hash"]
    assert fits_google("storage.v1", "Object", said) == []
    assert fits_google("storage.v1", "Objects", ask("veo3", "GET", OBJECTS).json()) == []
    assert fits_google("storage.v1", "Bucket", ask("veo3", "GET", f"/storage/v1/b/{PROJECT}").json()) == []


def test_a_long_listing_comes_in_pages(predict: Any, ask: Any) -> None:
    for n in range(3):
        predict(key=f"k{n}")
    first = ask("veo3", "GET", f"{OBJECTS}?maxResults=2").json()
    rest = ask("veo3", "GET", f"{OBJECTS}?maxResults=2&pageToken={quote(first['nextPageToken'], safe='')}").json()
    names = [item["name"] for page in (first, rest) for item in page["items"]]
    assert len(set(names)) == 3 and "nextPageToken" not in rest


def test_another_bucket_another_object_and_a_wrong_key_are_refused(ask: Any) -> None:
    statuses = [
        ask("veo3", "GET", "/storage/v1/b/other/o").status_code,
        ask("veo3", "GET", f"{OBJECTS}/nothing?alt=media").status_code,
        ask("veo3", "GET", OBJECTS, Authorization="Bearer no").status_code,
    ]
    assert statuses == [404, 404, 401]
