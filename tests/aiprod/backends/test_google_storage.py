"""A folder is empty only when the store says so, and our token goes nowhere but to the store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiprod.backends.google_access import GoogleAccess, Token
from aiprod.backends.google_storage import Folder, GoogleStorage, StoredAt
from aiprod.errors import BackendError, FailureKind
from tests.web import World, answer

THEN = "Mon, 23 Nov 2026 10:00:00 GMT"
AT = datetime(2026, 11, 23, 10, tzinfo=UTC)
LISTED = {"kind": "storage#objects"}
FOLDER = Folder("bucket", "veo3/k1")
FILM = {"name": "veo3/k1/7/sample_0.mp4", "contentType": "video/mp4"}


class Known(GoogleAccess):
    """Somebody who has a token."""

    def token(self, seconds: float) -> Token:
        return Token("ya29.CANARY")


def store(*answers: httpx.Response | Exception, **changes: Any) -> tuple[GoogleStorage, list[httpx.Request]]:
    asked: list[httpx.Request] = []
    said = list(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        one = said.pop(0) if len(said) > 1 else said[0]
        if isinstance(one, Exception):
            raise one
        return httpx.Response(one.status_code, headers=one.headers, content=one.content)

    return GoogleStorage(Known(), "veo3 k1", transport=httpx.MockTransport(handle), **changes), asked


def listed(*items: object, date: str = THEN, **more: object) -> httpx.Response:
    return httpx.Response(200, headers={"date": date}, json=LISTED | ({"items": items} if items else {}) | more)


def refusal(call: Callable[[], object]) -> BackendError:
    with pytest.raises(BackendError) as raised:
        call()
    assert "CANARY" not in f"{raised.value!r}"
    assert str(raised.value).startswith(("veo3 k1: ", "STORAGE_EMULATOR_HOST"))
    return raised.value


# --- addresses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "within"),
    [
        ("gs://bucket", "gs://bucket/k1/"),
        ("gs://bucket/", "gs://bucket/k1/"),
        ("gs://bucket/veo3", "gs://bucket/veo3/k1/"),
        (" gs://bucket/a/b.c/ ", "gs://bucket/a/b.c/k1/"),
    ],
)
def test_a_purchase_has_a_folder_of_its_own(address: str, within: str) -> None:
    assert Folder.of(address).within("k1").address == within


@pytest.mark.parametrize(
    "address",
    ["", "bucket", "s3://bucket", "gs://", "gs://B", "gs://a/../b", "gs://bucket/a//b", "gs://bucket/a?b", "gs://b k/x"],
)
def test_what_is_no_place_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="must look like"):
        Folder.of(address)


@pytest.mark.parametrize("address", ["gs://bucket", "gs://bucket/", "gs://bucket/a/", "gs://bucket/..", "gs://bucket/.", "a.mp4"])
def test_what_names_no_object_is_gone(address: str) -> None:
    storage, asked = store(httpx.Response(200, json={}))
    assert refusal(lambda: storage.look(address)).kind is FailureKind.GONE
    assert asked == []


def test_a_name_cannot_leave_its_bucket() -> None:
    assert StoredAt.of("gs://bucket/../../o?alt=media#x %2F").path == (
        "/storage/v1/b/bucket/o/..%2F..%2Fo%3Falt%3Dmedia%23x%20%252F"
    )


# --- a folder -------------------------------------------------------------------------------------------


def test_videos_are_listed_and_anything_else_only_counts_as_something() -> None:
    storage, asked = store(listed(FILM, {"name": "veo3/k1/notes.txt"}, {"name": "veo3/k1/"}))
    assert storage.listing(FOLDER) == (
        ("gs://bucket/veo3/k1/7/sample_0.mp4",),
        False,
        True,
        AT,
    )
    assert asked[0].url == "https://storage.googleapis.com/storage/v1/b/bucket/o?prefix=veo3%2Fk1%2F&maxResults=1000"
    assert asked[0].headers["authorization"] == "Bearer ya29.CANARY"


@pytest.mark.parametrize("item", [{"name": "veo3/k1/notes.txt"}, {"name": "veo3/k1/"}, {"name": "veo3/k1/.part", "size": "0"}])
def test_a_folder_with_anything_in_it_is_not_empty(item: dict[str, str]) -> None:
    storage, _ = store(listed(item))
    listing = storage.listing(FOLDER)
    assert (listing.videos, listing.empty) == ((), False)


def test_an_empty_folder_is_empty_by_the_stores_clock() -> None:
    storage, _ = store(listed())
    assert storage.listing(FOLDER) == ((), True, True, AT)


@pytest.mark.parametrize("date", ["", "yesterday", "2026"])
def test_a_store_that_does_not_tell_the_time_tells_none(date: str) -> None:
    storage, _ = store(listed(date=date))
    assert storage.listing(FOLDER).at is None


def test_every_page_is_read_and_the_clock_is_that_of_the_first() -> None:
    storage, asked = store(listed(nextPageToken="2"), listed(FILM, date="Mon, 23 Nov 2026 11:00:00 GMT"))
    listing = storage.listing(FOLDER)
    assert (len(listing.videos), listing.empty, listing.whole, listing.at) == (
        1,
        False,
        True,
        AT,
    )
    assert asked[1].url.params["pageToken"] == "2"


def test_a_list_without_an_end_is_not_read_for_ever_and_not_whole() -> None:
    storage, asked = store(listed(nextPageToken="again"))
    assert not storage.listing(FOLDER).whole
    assert len(asked) == 5


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (httpx.Response(404, json={"error": {"message": "bucket CANARY"}}), FailureKind.GONE),
        (httpx.Response(403), FailureKind.AUTH),
        (httpx.Response(401), FailureKind.AUTH),
        (httpx.Response(429), FailureKind.RATE_LIMITED),
        (httpx.Response(503), FailureKind.TRANSIENT),
        (httpx.Response(302, headers={"location": "https://evil.example"}), FailureKind.VENDOR_INTERNAL),
        (httpx.Response(200, text="<html>sign in</html>"), FailureKind.VENDOR_INTERNAL),
        (httpx.Response(200, json=[]), FailureKind.VENDOR_INTERNAL),
        (httpx.Response(200, json={}), FailureKind.VENDOR_INTERNAL),
        (httpx.Response(200, json=LISTED | {"items": "none"}), FailureKind.VENDOR_INTERNAL),
        (httpx.Response(200, json=LISTED | {"items": [{}]}), FailureKind.VENDOR_INTERNAL),
        (httpx.ConnectError("CANARY"), FailureKind.TRANSIENT),
        (httpx.ReadTimeout("CANARY"), FailureKind.TRANSIENT),
    ],
)
def test_what_could_not_be_listed_is_never_an_empty_folder(said: httpx.Response | Exception, kind: FailureKind) -> None:
    storage, asked = store(said)
    assert refusal(lambda: storage.listing(FOLDER)).kind is kind
    assert len(asked) == 1


# --- an object ------------------------------------------------------------------------------------------


def test_an_object_is_there_when_the_store_says_so_of_this_very_object() -> None:
    there = {"kind": "storage#object", "bucket": "bucket", "name": "a/b.mp4"}
    storage, asked = store(httpx.Response(200, json=there))
    storage.look("gs://bucket/a/b.mp4")
    assert asked[0].url.raw_path == b"/storage/v1/b/bucket/o/a%2Fb.mp4"
    assert refusal(lambda: storage.look("gs://bucket/c.mp4")).kind is FailureKind.VENDOR_INTERNAL


def test_the_token_goes_to_the_store_and_not_where_it_sends_us(tmp_path: Path) -> None:
    world = World(
        {("1.2.3.4", 443): [answer(302, location="https://cdn.example/x")], ("93.184.216.34", 443): [answer(200, b"film")]},
        {"storage.googleapis.com": [["1.2.3.4"]], "cdn.example": [["93.184.216.34"]]},
    )
    storage, _ = store(httpx.Response(200), network=world.network)
    storage.bring("gs://bucket/a b.mp4", tmp_path / "take.mp4")
    assert [b"ya29.CANARY" in wire.sent for wire in world.wires] == [True, False]
    assert world.wires[0].sent.startswith(b"GET /storage/v1/b/bucket/o/a%20b.mp4?alt=media HTTP/1.1\r\n")
    assert (tmp_path / "take.mp4").read_bytes() == b"film"


@pytest.mark.parametrize("home", ["http://127.0.0.1:8911", "127.0.0.1:8911", "http://127.0.0.1:8911/"])
def test_an_operators_own_store_is_asked_instead(home: str) -> None:
    storage, asked = store(listed(), home=home)
    storage.listing(FOLDER)
    assert (asked[0].url.host, asked[0].url.port, asked[0].url.path) == ("127.0.0.1", 8911, "/storage/v1/b/bucket/o")


@pytest.mark.parametrize("home", ["http://", "a b", "ftp://x"])
def test_an_address_that_is_none_is_said_to_be_none(home: str) -> None:
    storage, asked = store(listed(), home=home)
    assert refusal(lambda: storage.listing(FOLDER)).kind is FailureKind.AUTH
    assert asked == []
