"""A token is fetched in time or not at all, kept while it is good, and shown to nobody."""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path

import httpcore
import pytest

from aiprod.backends.google_access import GoogleAccess, Token
from aiprod.emulators.google_access import write_key_file
from aiprod.errors import BackendError, FailureKind
from tests.web import World, answer, endless, silent

GOOD = {"access_token": "ya29.CANARY", "expires_in": 3_599, "token_type": "Bearer"}


@pytest.fixture
def key(tmp_path: Path) -> str:
    """A service account's key, as one downloads it."""
    file = tmp_path / "key.json"
    write_key_file(file, "https://oauth2.example")
    return file.read_text()


def access(key: str, *answers: Iterable[bytes]) -> tuple[GoogleAccess, World]:
    world = World.of(*answers, host="oauth2.example")
    return GoogleAccess(key, network=world.network), world


def given(**changes: object) -> list[bytes]:
    return answer(200, json.dumps(GOOD | changes).encode(), content_type="application/json")


def refusal(call: Callable[[], object]) -> BackendError:
    with pytest.raises(BackendError) as raised:
        call()
    assert raised.value.money_moved == "no"
    return raised.value


def test_a_token_is_fetched_once_and_kept_while_it_is_good(key: str) -> None:
    one, world = access(key, given(), given())
    assert one.at_hand() is None
    assert world.heard == []
    assert one.token(5) == one.token(5) == one.at_hand() == Token("ya29.CANARY")
    assert [(sent.method, sent.target, sent.headers["host"]) for sent in world.heard] == [("POST", "/token", "oauth2.example")]
    assert one.token(5).headers == {"Authorization": "Bearer ya29.CANARY"}


def test_a_token_that_soon_runs_out_is_used_and_not_kept(key: str) -> None:
    one, world = access(key, given(expires_in=60), given(expires_in=60))
    assert one.token(5).value == "ya29.CANARY"
    assert one.at_hand() is None
    one.token(5)
    assert len(world.heard) == 2


def test_many_who_want_a_token_at_once_fetch_one(key: str) -> None:
    one, world = access(key, *[given()] * 8)
    threads = [threading.Thread(target=one.token, args=(5,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(world.wires) == 1


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (answer(503), FailureKind.TRANSIENT),
        (answer(429), FailureKind.TRANSIENT),
        (silent(httpcore.ReadTimeout("nothing")), FailureKind.TRANSIENT),
        (answer(400, b'{"error": "invalid_grant", "error_description": "Invalid JWT"}'), FailureKind.AUTH),
        (answer(401, b"<html>no</html>"), FailureKind.AUTH),
        (answer(200, b"{}"), FailureKind.AUTH),
        (given(access_token="two\nlines"), FailureKind.AUTH),
    ],
    ids=["busy", "limited", "silent", "refused", "page", "nothing", "no header"],
)
def test_without_a_token_it_is_said_why_after_one_try(key: str, said: Iterable[bytes], kind: FailureKind) -> None:
    one, world = access(key, said, given())
    assert refusal(lambda: one.token(5)).kind is kind
    assert len(world.wires) == 1


def test_a_token_server_that_cannot_be_reached_may_be_reached_later(key: str) -> None:
    one, _ = access(key)
    assert refusal(lambda: one.token(5)).kind is FailureKind.TRANSIENT


def test_a_token_server_that_talks_for_ever_is_given_up_in_time(key: str) -> None:
    one, world = access(key, endless(b"."))
    world.seconds_per_read = 1.0
    assert refusal(lambda: one.token(5)).kind is FailureKind.TRANSIENT
    assert world.time < 10


def test_when_the_time_is_over_nobody_is_asked(key: str) -> None:
    one, world = access(key, given())
    assert refusal(lambda: one.token(0)).kind is FailureKind.TRANSIENT
    assert world.wires == []


@pytest.mark.parametrize("change", [{"private_key": "-----BEGIN CANARY-----"}, {"client_email": None}, {"token_uri": "CANARY"}])
def test_a_key_that_is_none_is_said_to_be_none_and_not_quoted(key: str, change: dict[str, str | None]) -> None:
    broken = {name: value for name, value in {**json.loads(key), **change}.items() if value is not None}
    for text in (json.dumps(broken), json.dumps(broken)[:-1], "CANARY", "[]"):
        one, _ = access(text, answer(400, b'{"error": "invalid_grant"}'))
        with pytest.raises(BackendError) as raised:
            one.token(5)
        shown = "".join(traceback.format_exception(raised.value)) + repr(one.__dict__.get("_credentials"))
        assert "BEGIN" not in shown
        assert json.loads(key)["private_key"][40:80] not in shown


def test_without_a_key_the_machines_own_is_used(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    one, world = access("", given())
    assert one.token(5).value == "ya29.CANARY"
    assert len(world.wires) == 1


def test_a_machine_without_credentials_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    one, world = access("", given())
    assert refusal(lambda: one.token(5)).kind is FailureKind.AUTH
    assert world.wires == []


def test_a_token_is_not_shown(key: str) -> None:
    one, _ = access(key, given())
    assert "CANARY" not in f"{one.token(5)!r} {one!r}"


def test_whose_quota_it_is_goes_along() -> None:
    assert Token("t", "other-project").headers["x-goog-user-project"] == "other-project"
