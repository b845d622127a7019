"""A token is fetched in time or not at all, kept while it is good, and shown to nobody."""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from aiprod.backends.google_access import GoogleAccess, Token
from aiprod.emulators.google_access import write_key_file
from aiprod.errors import BackendError, FailureKind

GOOD = {"access_token": "ya29.CANARY", "expires_in": 3_599, "token_type": "Bearer"}


@pytest.fixture
def key(tmp_path: Path) -> str:
    """A service account's key, as one downloads it."""
    file = tmp_path / "key.json"
    write_key_file(file, "https://oauth2.example")
    return file.read_text()


class Server:
    """Answers in turn, the last one for ever, and counts."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(said, Exception):
            raise said
        return httpx.Response(said.status_code, content=said.content)


def access(key: str, *answers: httpx.Response | Exception) -> tuple[GoogleAccess, Server]:
    server = Server(*answers)
    return GoogleAccess(key, transport=httpx.MockTransport(server)), server


def refusal(call: Callable[[], object]) -> BackendError:
    with pytest.raises(BackendError) as raised:
        call()
    assert raised.value.money_moved == "no"
    return raised.value


def test_a_token_is_fetched_once_and_kept_while_it_is_good(key: str) -> None:
    one, server = access(key, httpx.Response(200, json=GOOD))
    assert one.at_hand() is None
    assert server.asked == []
    assert one.token(5) == one.token(5) == one.at_hand() == Token("ya29.CANARY")
    assert [str(request.url) for request in server.asked] == ["https://oauth2.example/token"]
    assert one.token(5).headers == {"Authorization": "Bearer ya29.CANARY"}


def test_a_token_that_soon_runs_out_is_used_and_not_kept(key: str) -> None:
    one, server = access(key, httpx.Response(200, json=GOOD | {"expires_in": 60}))
    assert one.token(5).value == "ya29.CANARY"
    assert one.at_hand() is None
    one.token(5)
    assert len(server.asked) == 2


def test_many_who_want_a_token_at_once_fetch_one(key: str) -> None:
    one, server = access(key, httpx.Response(200, json=GOOD))
    threads = [threading.Thread(target=one.token, args=(5,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (httpx.Response(503), FailureKind.TRANSIENT),
        (httpx.Response(429), FailureKind.TRANSIENT),
        (httpx.ConnectError("no route"), FailureKind.TRANSIENT),
        (httpx.ReadTimeout("nothing"), FailureKind.TRANSIENT),
        (httpx.Response(400, json={"error": "invalid_grant", "error_description": "Invalid JWT"}), FailureKind.AUTH),
        (httpx.Response(401, text="<html>no</html>"), FailureKind.AUTH),
        (httpx.Response(200, json={}), FailureKind.AUTH),
        (httpx.Response(200, json=GOOD | {"access_token": "two\nlines"}), FailureKind.AUTH),
    ],
    ids=["busy", "limited", "unreachable", "silent", "refused", "page", "nothing", "no header"],
)
def test_without_a_token_it_is_said_why_after_one_try(key: str, said: httpx.Response | Exception, kind: FailureKind) -> None:
    one, server = access(key, said)
    assert refusal(lambda: one.token(5)).kind is kind
    assert len(server.asked) == 1


def test_when_the_time_is_over_nobody_is_asked(key: str) -> None:
    one, server = access(key, httpx.Response(200, json=GOOD))
    assert refusal(lambda: one.token(0)).kind is FailureKind.TRANSIENT
    assert server.asked == []


@pytest.mark.parametrize("change", [{"private_key": "-----BEGIN CANARY-----"}, {"client_email": None}, {"token_uri": "CANARY"}])
def test_a_key_that_is_none_is_said_to_be_none_and_not_quoted(key: str, change: dict[str, str | None]) -> None:
    broken = {name: value for name, value in {**json.loads(key), **change}.items() if value is not None}
    for text in (json.dumps(broken), json.dumps(broken)[:-1], "CANARY", "[]"):
        one, _ = access(text, httpx.Response(400, json={"error": "invalid_grant"}))
        with pytest.raises(BackendError) as raised:
            one.token(5)
        shown = "".join(traceback.format_exception(raised.value)) + repr(one.__dict__.get("_credentials"))
        assert "BEGIN" not in shown
        assert json.loads(key)["private_key"][40:80] not in shown


def test_without_a_key_the_machines_own_is_used(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    one, server = access("", httpx.Response(200, json=GOOD))
    assert one.token(5).value == "ya29.CANARY"
    assert len(server.asked) == 1


def test_a_machine_without_credentials_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    one, server = access("", httpx.Response(200, json=GOOD))
    assert refusal(lambda: one.token(5)).kind is FailureKind.AUTH
    assert server.asked == []


def test_a_token_is_not_shown(key: str) -> None:
    one, _ = access(key, httpx.Response(200, json=GOOD))
    assert "CANARY" not in f"{one.token(5)!r} {one!r}"


def test_whose_quota_it_is_goes_along() -> None:
    assert Token("t", "other-project").headers["x-goog-user-project"] == "other-project"
