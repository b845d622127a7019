"""A question to Replicate ends, says whether it left, and never shows the token."""

from __future__ import annotations

import asyncio
import socket
import traceback
from collections.abc import Callable, Iterator

import httpx
import pytest

from aiprod.backends.replicate_wire import Answer, NotSent, Silence, Wire
from aiprod.errors import BackendError, FailureKind

TOKEN = "r8_SECRET-CANARY"


def wire(said: Callable[[httpx.Request], httpx.Response] | None = None, base: str = "https://api.example") -> Wire:
    return Wire(base, TOKEN, httpx.MockTransport(said) if said else None)


def test_a_question_carries_the_token_and_an_answer_its_object() -> None:
    def said(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert request.headers["accept-encoding"] == "identity"
        return httpx.Response(200, json={"id": "p1", "path": str(request.url)})

    answer = wire(said, "https://api.example/proxy/").ask("GET", "/v1/x?a=b%2Bc", 5)
    assert answer.row == {"id": "p1", "path": "https://api.example/proxy/v1/x?a=b%2Bc"}


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"\xff", b'{"a": 1', b"[" * 100_000])
def test_a_body_that_is_no_object_is_none(body: bytes) -> None:
    assert wire(lambda request: httpx.Response(502, content=body)).ask("GET", "/", 5).row is None


def test_the_vendors_own_sentence_is_found() -> None:
    for row in ({"detail": "no"}, {"error": "no"}, {"title": "no"}):
        assert Answer(400, {}, row).detail == "no"
    assert Answer(400, {}, None).detail == ""


@pytest.mark.parametrize(
    ("error", "left"),
    [
        *((error, False) for error in (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.LocalProtocolError)),
        *((error, True) for error in (httpx.ReadTimeout, httpx.ReadError, httpx.WriteError, httpx.WriteTimeout)),
        (httpx.RemoteProtocolError, True),
    ],
)
def test_only_what_cannot_have_left_is_called_not_sent(error: type[httpx.TransportError], left: bool) -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise error(f"quoting {TOKEN}" if error is httpx.LocalProtocolError else "down")

    asked = wire(broken)
    with pytest.raises(Silence) as raised:
        asked.ask("POST", "/", 5, body={})
    assert isinstance(raised.value, NotSent) != left
    assert_secret_kept(raised.value)


def assert_secret_kept(error: BaseException) -> None:
    """Neither in words nor in what it carries along."""
    assert TOKEN not in "".join(traceback.format_exception(error))
    assert error.__cause__ is None
    assert error.__context__ is None


def test_a_port_nobody_listens_at_is_not_sent() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(NotSent):
            Wire(f"http://127.0.0.1:{free.getsockname()[1]}", TOKEN).ask("POST", "/", 5, body={})


def test_an_answer_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield b" " * 1_000_000

    monkeypatch.setattr("aiprod.backends.replicate_wire._MOST_BYTES", 5_000_000)
    with pytest.raises(Silence, match="too long"):
        wire(lambda request: httpx.Response(200, stream=Endless())).ask("GET", "/", 60)
    with pytest.raises(Silence, match="too slowly"):
        wire(lambda request: httpx.Response(200, stream=Endless())).ask("GET", "/", 0)


def test_a_redirect_is_an_answer_and_not_a_way() -> None:
    asked: list[str] = []

    def said(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(307, headers={"location": "https://evil.example/"})

    assert wire(said).ask("POST", "/", 5, body={}).status == 307
    assert asked == ["https://api.example/"]


@pytest.mark.parametrize("url", ["https://evil.example/v1", "http://api.example/v1", "https://api.example:8443/", "v1", ""])
def test_an_answer_leads_the_token_to_nobody_else(url: str) -> None:
    with pytest.raises(Silence, match="another host"):
        wire(lambda request: httpx.Response(200)).ask("GET", url, 5)


def test_the_next_page_at_the_same_host_is_asked_for() -> None:
    assert wire().address("https://api.example:443/v1/predictions?cursor=x") == "https://api.example:443/v1/predictions?cursor=x"


@pytest.mark.parametrize(
    ("base", "token"),
    [("https://api.example", ""), ("https://api.example", "a b"), ("https://api.example", "a\n"), ("https://api.example", "ä")]
    + [(base, TOKEN) for base in ("api.example", "ftp://api.example", "https://user:pw@api.example", "")],
)
def test_a_token_or_an_address_that_cannot_be_one_is_named_and_not_shown(base: str, token: str) -> None:
    with pytest.raises(BackendError, match="REPLICATE_") as raised:
        Wire(base, token)
    assert raised.value.kind is FailureKind.AUTH
    assert "pw" not in str(raised.value)


def test_printing_it_does_not_show_the_token() -> None:
    assert TOKEN not in repr(wire())


def test_on_an_event_loop_it_answers_alike() -> None:
    def said(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/down":
            raise httpx.ReadTimeout("down")
        return httpx.Response(307, json={"id": "p1"}, headers={"location": "https://evil.example/"})

    async def ask(path: str) -> Answer:
        async with httpx.AsyncClient(transport=httpx.MockTransport(said)) as http:
            return await wire().ask_soon(http, path, 5)

    assert asyncio.run(ask("/")).row == {"id": "p1"}
    with pytest.raises(Silence) as raised:
        asyncio.run(ask("/down"))
    assert_secret_kept(raised.value)
