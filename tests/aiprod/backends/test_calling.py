"""A request that is sent once, is over in time, and of which one always knows whether anything has left."""

from __future__ import annotations

import ssl
from typing import Any

import httpcore
import httpx
import pytest

from aiprod.backends.calling import OneCall
from tests.web import Wire, World, answer, endless

API = "https://cdn.example/v1/tasks?page=1"


def asked(world: World, seconds: float = 48, **given: Any) -> tuple[OneCall, httpx.Response]:
    call = OneCall(seconds, network=world.network)
    with httpx.Client(transport=call, trust_env=False) as http:
        return call, http.post(API, json={"prompt": "a lake"}, **given)


def failed(world: World, seconds: float = 48, **given: Any) -> tuple[OneCall, httpx.TransportError]:
    """The call, and how it went wrong."""
    call = OneCall(seconds, network=world.network)
    with httpx.Client(transport=call, trust_env=False) as http, pytest.raises(httpx.TransportError) as error:
        http.post(API, json={"prompt": "a lake"}, **given)
    return call, error.value


def test_what_is_sent_arrives_and_what_is_answered_comes_back() -> None:
    world = World.of(answer(402, b'{"error": "no credits"}', retry_after="7"))
    call, said = asked(world)
    assert (said.status_code, said.json(), said.headers["retry-after"], call.sent) == (402, {"error": "no credits"}, "7", True)
    head, _, body = world.wires[0].sent.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/tasks?page=1 HTTP/1.1\r\n") and b"host: cdn.example" in head.lower()
    assert body == b'{"prompt":"a lake"}'
    assert world.wires[0].certified == "cdn.example"


def test_every_request_has_a_connection_of_its_own() -> None:
    """A kept one that the other side has closed would make a lost answer of a request that never arrived."""
    world = World.of(answer(200), answer(200))
    with httpx.Client(transport=OneCall(48, network=world.network), trust_env=False) as http:
        assert [http.get(API).status_code, http.get(API).status_code] == [200, 200]
    assert len(world.wires) == 2


def test_the_next_address_is_tried_when_one_refuses() -> None:
    world = World({("9.9.9.9", 443): [answer(200)]}, {"cdn.example": [["8.8.8.8", "9.9.9.9"]]})
    assert asked(world)[1].status_code == 200
    assert world.reached == [("9.9.9.9", 443)]


class NoName(World):
    def resolve(self, host: str, port: int) -> list[str]:
        raise OSError("no such name")


class NoHandshake(World):
    def connect_tcp(self, host: str, port: int, timeout: float | None = None, *rest: Any, **more: Any) -> Wire:
        wire = super().connect_tcp(host, port, timeout)
        wire.start_tls = self.refuse  # type: ignore[method-assign]
        return wire

    def refuse(self, context: ssl.SSLContext, name: str | None = None, timeout: float | None = None) -> Wire:
        raise httpcore.ConnectError("certificate verify failed")


@pytest.mark.parametrize(
    ("world", "said"),
    [
        (World.of(), "connection refused"),
        (NoName.of(), "cannot be resolved"),
        (NoHandshake.of(answer(200)), "certificate verify failed"),
        (World({}, {"cdn.example": [[]]}), "no address"),
    ],
    ids=["refused", "no name", "no certificate", "no address"],
)
def test_nothing_has_left_before_there_is_a_connection(world: World, said: str) -> None:
    call, error = failed(world)
    assert not call.sent and said in str(error)


def test_no_address_gets_more_time_than_is_left() -> None:
    given: list[float | None] = []

    class Deaf(World):
        def connect_tcp(self, host: str, port: int, timeout: float | None = None, *rest: Any, **more: Any) -> Wire:
            given.append(timeout)
            self.time += timeout or 0
            raise httpcore.ConnectTimeout("nobody there")

    world = Deaf({}, {"cdn.example": [["8.8.8.8", "9.9.9.9", "1.1.1.1"]]})
    call, _ = failed(world, seconds=12)
    assert (given, call.sent) == ([5, 5, 2], False)


def test_nothing_is_sent_once_the_time_is_over() -> None:
    """Whoever waits that long for the name may no longer be the one who may send."""

    class SlowNames(World):
        def resolve(self, host: str, port: int) -> list[str]:
            self.time += 50
            return super().resolve(host, port)

    world = SlowNames.of(answer(200))
    call, error = failed(world)
    assert not call.sent and world.wires == [] and isinstance(error, httpx.TimeoutException)


@pytest.mark.parametrize(
    "said", [[], [b"HTTP/1.1 2"], answer(200, b"{}", content_length="9")], ids=["hung up", "half a line", "half"]
)
def test_an_answer_that_breaks_off_is_a_request_that_has_left(said: list[bytes]) -> None:
    call, _ = failed(World.of(said))
    assert call.sent


@pytest.mark.parametrize("begins", ["HTTP/1.1 200 OK\r\nX-Slow: ", "HTTP/1.1 200 OK\r\n\r\n"], ids=["headers", "body"])
def test_an_answer_that_trickles_in_is_given_up_in_time(begins: str) -> None:
    """Each piece comes soon enough for a timeout of one step; together they would take a day."""
    world = World.of([begins.encode(), *[b"x"] * 86_400])
    world.seconds_per_read = 1
    call, error = failed(world, seconds=48)
    assert isinstance(error, httpx.TimeoutException) and call.sent
    assert world.time == 48


def test_an_answer_without_an_end_is_not_kept() -> None:
    assert "longer than" in str(failed(World.of(endless(b"x" * 1_000_000)))[1])


def test_what_is_wrong_with_a_request_is_told_without_repeating_it() -> None:
    call, error = failed(World.of(answer(200)), headers={"Authorization": "Bearer SECRET\nCANARY"})
    assert not call.sent and "SECRET" not in f"{error!r} {error}"
    assert (error.__cause__, error.__context__) == (None, None)
