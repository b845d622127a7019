"""A folder is empty only when the store says so, and our token goes nowhere but to the store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpcore
import pytest

from aiprod.backends.google_access import GoogleAccess, Token
from aiprod.backends.google_storage import Folder, GoogleStorage, StoredAt
from aiprod.errors import BackendError, FailureKind
from tests.web import World, answer, silent

THEN = "Mon, 23 Nov 2026 10:00:00 GMT"
AT = datetime(2026, 11, 23, 10, tzinfo=UTC)
LISTED = {"kind": "storage#objects"}
FOLDER = Folder("bucket", "veo3/k1")
FILM = {"name": "veo3/k1/7/sample_0.mp4", "contentType": "video/mp4"}


class Known(GoogleAccess):
    """Somebody who has a token."""

    def token(self, seconds: float) -> Token:
        return Token("ya29.CANARY")


def store(*answers: Iterable[bytes], host: str = "storage.googleapis.com", **changes: Any) -> tuple[GoogleStorage, World]:
    world = World.of(*answers, host=host)
    return GoogleStorage(Known(), "veo3 k1", network=world.network, **changes), world


def told(body: object, **headers: str) -> list[bytes]:
    return answer(200, json.dumps(body).encode(), **headers)


def listed(*items: object, date: str = THEN, **more: object) -> list[bytes]:
    return told(LISTED | ({"items": items} if items else {}) | more, date=date)


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
    storage, world = store(told({}))
    assert refusal(lambda: storage.look(address)).kind is FailureKind.GONE
    assert world.heard == []


def test_a_name_cannot_leave_its_bucket() -> None:
    assert StoredAt.of("gs://bucket/../../o?alt=media#x %2F").path == (
        "/storage/v1/b/bucket/o/..%2F..%2Fo%3Falt%3Dmedia%23x%20%252F"
    )


# --- a folder -------------------------------------------------------------------------------------------


def test_videos_are_listed_and_anything_else_only_counts_as_something() -> None:
    storage, world = store(listed(FILM, {"name": "veo3/k1/notes.txt"}, {"name": "veo3/k1/"}))
    assert storage.listing(FOLDER) == (
        ("gs://bucket/veo3/k1/7/sample_0.mp4",),
        False,
        True,
        AT,
    )
    (sent,) = world.heard
    assert (sent.method, sent.target) == ("GET", "/storage/v1/b/bucket/o?prefix=veo3%2Fk1%2F&maxResults=1000")
    assert (sent.headers["host"], sent.headers["authorization"]) == ("storage.googleapis.com", "Bearer ya29.CANARY")


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
    storage, world = store(listed(nextPageToken="2"), listed(FILM, date="Mon, 23 Nov 2026 11:00:00 GMT"))
    listing = storage.listing(FOLDER)
    assert (len(listing.videos), listing.empty, listing.whole, listing.at) == (
        1,
        False,
        True,
        AT,
    )
    assert world.heard[1].target.endswith("&pageToken=2")


def test_a_list_without_an_end_is_not_read_for_ever_and_not_whole() -> None:
    storage, world = store(*[listed(nextPageToken="again")] * 9)
    assert not storage.listing(FOLDER).whole
    assert len(world.heard) == 5


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (answer(404, b'{"error": {"message": "bucket CANARY"}}'), FailureKind.GONE),
        (answer(403), FailureKind.AUTH),
        (answer(401), FailureKind.AUTH),
        (answer(429), FailureKind.RATE_LIMITED),
        (answer(503), FailureKind.TRANSIENT),
        (answer(302, location="https://evil.example"), FailureKind.VENDOR_INTERNAL),
        (answer(200, b"<html>sign in</html>"), FailureKind.VENDOR_INTERNAL),
        (told([]), FailureKind.VENDOR_INTERNAL),
        (told({}), FailureKind.VENDOR_INTERNAL),
        (told(LISTED | {"items": "none"}), FailureKind.VENDOR_INTERNAL),
        (told(LISTED | {"items": [{}]}), FailureKind.VENDOR_INTERNAL),
        (silent(httpcore.ReadError("CANARY")), FailureKind.TRANSIENT),
        (silent(httpcore.ReadTimeout("CANARY")), FailureKind.TRANSIENT),
    ],
)
def test_what_could_not_be_listed_is_never_an_empty_folder(said: Iterable[bytes], kind: FailureKind) -> None:
    storage, world = store(said, listed())
    assert refusal(lambda: storage.listing(FOLDER)).kind is kind
    assert len(world.wires) == 1


# --- an object ------------------------------------------------------------------------------------------


def test_an_object_is_there_when_the_store_says_so_of_this_very_object() -> None:
    there = {"kind": "storage#object", "bucket": "bucket", "name": "a/b.mp4"}
    storage, world = store(told(there), told(there))
    storage.look("gs://bucket/a/b.mp4")
    assert world.heard[0].target == "/storage/v1/b/bucket/o/a%2Fb.mp4"
    assert refusal(lambda: storage.look("gs://bucket/c.mp4")).kind is FailureKind.VENDOR_INTERNAL


def test_the_token_goes_to_the_store_and_not_where_it_sends_us(tmp_path: Path) -> None:
    world = World(
        {("1.2.3.4", 443): [answer(302, location="https://cdn.example/x")], ("93.184.216.34", 443): [answer(200, b"film")]},
        {"storage.googleapis.com": [["1.2.3.4"]], "cdn.example": [["93.184.216.34"]]},
    )
    storage = GoogleStorage(Known(), "veo3 k1", network=world.network)
    storage.bring("gs://bucket/a b.mp4", tmp_path / "take.mp4")
    assert [b"ya29.CANARY" in wire.sent for wire in world.wires] == [True, False]
    assert world.wires[0].sent.startswith(b"GET /storage/v1/b/bucket/o/a%20b.mp4?alt=media HTTP/1.1\r\n")
    assert (tmp_path / "take.mp4").read_bytes() == b"film"


@pytest.mark.parametrize("home", ["https://own.example", "https://own.example:443/", "https://own.example/ignored"])
def test_an_operators_own_store_is_asked_instead(home: str) -> None:
    storage, world = store(listed(), host="own.example", home=home)
    storage.listing(FOLDER)
    assert (world.heard[0].headers["host"], world.heard[0].target[:24]) == ("own.example", "/storage/v1/b/bucket/o?p")


def test_an_address_without_a_scheme_is_one_on_this_machine() -> None:
    world = World({("127.0.0.1", 8911): [listed()]}, {})
    GoogleStorage(Known(), "veo3 k1", home="127.0.0.1:8911", network=world.network).listing(FOLDER)
    assert len(world.heard) == 1


@pytest.mark.parametrize("home", ["http://", "a b", "ftp://x"])
def test_an_address_that_is_none_is_said_to_be_none(home: str) -> None:
    storage, world = store(listed(), home=home)
    assert refusal(lambda: storage.listing(FOLDER)).kind is FailureKind.AUTH
    assert world.wires == []
