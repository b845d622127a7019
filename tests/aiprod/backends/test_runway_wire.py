"""Runway's SDK asks once, in time, at the address it was told, and takes the key nowhere else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest

from aiprod.backends.runway_wire import HOME, Answer, NotSent, Silence, Wire
from aiprod.errors import BackendError, FailureKind
from tests.web import World, answer

KEY = "key_SECRET-CANARY"
TASK = json.dumps({"id": "t1", "status": "PENDING"}).encode()


def world(*answers: Any) -> World:
    return World({("9.9.9.9", 443): list(answers)}, {"api.dev.runwayml.com": [["9.9.9.9"]]})


def retrieve(sdk: Any) -> Any:
    return sdk.tasks.with_raw_response.retrieve("t1")


def create(sdk: Any) -> Any:
    order = {"model": "gen4.5", "prompt_text": "a lake", "ratio": "1280:720", "duration": 5, "seed": 7}
    return sdk.text_to_video.with_raw_response.create(**order)


def soon(handler: Callable[[httpx.Request], httpx.Response], question: Any = retrieve) -> Answer:
    async def ask() -> Answer:
        async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http:
            return await Wire(HOME, KEY).ask_soon(http, 5, question)

    return asyncio.run(ask())


def told(error: BaseException) -> str:
    """Everything that an error carries, and what it came from."""
    parts: list[str] = []
    step: BaseException | None = error
    while step is not None:
        parts += [repr(step), repr(vars(step))]
        step = step.__cause__ or step.__context__
    return " ".join(parts)


def test_an_order_is_sent_as_runways_own_client_sends_it() -> None:
    vendor = world(answer(200, b'{"id": "t1"}', content_type="application/json"))
    said = Wire(HOME, KEY, vendor.network).ask(48, create)
    assert (said.status, said.row) == (200, {"id": "t1"})
    head, _, body = vendor.wires[0].sent.decode().partition("\r\n\r\n")
    lines = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in head.splitlines()}
    assert head.startswith("POST /v1/text_to_video HTTP/1.1")
    assert (lines["authorization"], lines["x-runway-version"], lines["host"]) == (
        f"Bearer {KEY}",
        "2024-11-06",
        "api.dev.runwayml.com",
    )
    # Nothing is unpacked, so what unpacks to a gigabyte is not asked for.
    assert lines["accept-encoding"] == "identity"
    assert json.loads(body) == {"model": "gen4.5", "promptText": "a lake", "ratio": "1280:720", "duration": 5, "seed": 7}


@pytest.mark.parametrize(
    "lost",
    [
        [],
        [b"HTTP/1.1 "],
        answer(500),
        answer(503, retry_after="1"),
        answer(408),
        answer(409),
        answer(429, retry_after="1"),
        answer(307, location=f"{HOME}/v1/elsewhere"),
    ],
    ids=["hung up", "broke off", "500", "503", "408", "409", "429", "307"],
)
def test_nothing_is_ever_sent_twice(lost: list[bytes]) -> None:
    """Left to itself the SDK sends each of these three times, and each may be accepted and billed."""
    vendor = world(lost, lost, lost)
    wire = Wire(HOME, KEY, vendor.network)
    with suppress(Silence):
        wire.ask(48, create)
    assert len(vendor.wires) == 1


def test_the_sdk_left_to_itself_sends_a_lost_request_three_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Why the retries are off: a test that can fail only when the SDK becomes safer than it is."""
    import runwayml

    from aiprod.backends.calling import OneCall

    vendor = world([], [], [])
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    http = httpx.Client(transport=OneCall(48, network=vendor.network), trust_env=False)
    with runwayml.RunwayML(api_key=KEY, base_url=HOME, http_client=http) as sdk, pytest.raises(runwayml.APIConnectionError):
        create(sdk)
    assert len(vendor.wires) == 3


def test_without_a_connection_nothing_was_sent() -> None:
    with pytest.raises(NotSent, match="connection refused"):
        Wire(HOME, KEY, world().network).ask(48, create)


def test_what_the_sdk_cannot_pack_was_not_sent() -> None:
    """It would say so with an error of its own, which must not be taken for a lost answer."""
    with pytest.raises(NotSent) as error:
        Wire(HOME, KEY, world(answer(200)).network).ask(
            48, lambda sdk: sdk.text_to_video.with_raw_response.create(prompt_text={1})
        )
    assert KEY not in told(error.value)


def test_an_answer_that_comes_too_late_is_a_timeout() -> None:
    vendor = world([b"HTTP/1.1 200 OK\r\n\r\n", *[b"x"] * 500])
    vendor.seconds_per_read = 1
    with pytest.raises(Silence) as silence:
        Wire(HOME, KEY, vendor.network).ask(48, create)
    assert (silence.value.kind, vendor.time) == (FailureKind.TIMEOUT, 48)


@pytest.mark.parametrize("body", [b"<html>gateway</html>", b"", b"[1]", b'"text"', b"{", b"[" * 100_000], ids=range(6))
def test_an_answer_that_is_no_object_is_empty(body: bytes) -> None:
    assert Wire(HOME, KEY, world(answer(200, body)).network).ask(48, retrieve).row == {}


def test_an_error_is_told_with_what_the_vendor_says_of_each_field() -> None:
    body = {"error": "Validation failed", "issues": [{"path": ["ratio"], "message": "must be one of"}, "odd", {"path": 7}]}
    said = Wire(HOME, KEY, world(answer(400, json.dumps(body).encode(), retry_after="3")).network).ask(48, create)
    assert (said.status, said.headers["retry-after"]) == (400, "3")
    assert said.detail.startswith("Validation failed; ratio must be one of")


def test_a_key_that_the_vendor_repeats_is_not_kept() -> None:
    said = Wire(HOME, KEY, world(answer(401, json.dumps({"error": f"no such key: {KEY}"}).encode())).network).ask(48, retrieve)
    assert (said.status, said.detail) == (401, "no such key: [key]")


@pytest.mark.parametrize("lost", [[], [b"HTTP/1.1 200"], None], ids=["hung up", "broke off", "refused"])
def test_no_error_carries_the_key_or_the_request(lost: list[bytes] | None) -> None:
    vendor = world() if lost is None else world(lost)
    with pytest.raises(Silence) as error:
        Wire(HOME, KEY, vendor.network).ask(48, create)
    assert "CANARY" not in told(error.value) and "a lake" not in told(error.value)


def test_a_wire_that_is_printed_does_not_show_its_key() -> None:
    assert KEY not in repr(Wire(HOME, KEY))


@pytest.mark.parametrize(
    ("base", "key"),
    [
        (HOME, ""),
        (HOME, "CANARY key"),
        (HOME, "CANARY\n"),
        (HOME, "CANARÝ-CANARY"),
        ("ftp://CANARY/", KEY),
        ("https://a:CANARY@x.example", KEY),
    ],
)
def test_an_address_or_a_key_that_cannot_be_one_is_told_before_anything_is_asked(base: str, key: str) -> None:
    with pytest.raises(BackendError) as error:
        Wire(base, key)
    assert error.value.kind is FailureKind.AUTH and error.value.money_moved == "no"
    assert "CANARY" not in told(error.value)


def test_the_environment_does_not_say_where_a_connections_key_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNWAYML_BASE_URL", "https://elsewhere.example")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    vendor = world(answer(200, TASK))
    assert Wire(HOME, KEY, vendor.network).ask(48, retrieve).row["id"] == "t1"
    assert vendor.asked == ["api.dev.runwayml.com"]


def test_files_may_come_from_an_address_of_the_operators_own() -> None:
    assert (Wire(HOME, KEY).own, Wire("http://127.0.0.1:8911/x", KEY).own) == ((), ("http://127.0.0.1:8911",))


# --- on an event loop -----------------------------------------------------------------------------------


def test_a_question_on_an_event_loop_is_asked_once_with_the_callers_client() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"id": "t1", "status": "RUNNING"})

    assert soon(handler).row["status"] == "RUNNING"
    assert [str(request.url) for request in seen] == [f"{HOME}/v1/tasks/t1"]
    assert seen[0].headers["authorization"] == f"Bearer {KEY}"


def test_two_keys_on_one_event_loop_are_never_mixed_up() -> None:
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(f"{request.url.host} {request.headers['authorization']}")
        return httpx.Response(200, json={"id": "t1", "status": "RUNNING"})

    async def ask() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http:
            for base, key in ((HOME, "one"), ("https://b.example", "two"), (HOME, "one")):
                await Wire(base, key).ask_soon(http, 5, retrieve)

    asyncio.run(ask())
    assert seen == ["api.dev.runwayml.com Bearer one", "b.example Bearer two", "api.dev.runwayml.com Bearer one"]


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_question_on_an_event_loop_is_not_repeated(status: int) -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(status, json={"error": "not now"})

    assert (soon(handler).status, len(seen)) == (status, 1)


@pytest.mark.parametrize(
    ("error", "kind"),
    [(httpx.ConnectError, FailureKind.TRANSIENT), (httpx.ReadTimeout, FailureKind.TIMEOUT)],
    ids=["down", "late"],
)
def test_no_answer_on_an_event_loop_is_silence_without_the_key(error: type[httpx.TransportError], kind: FailureKind) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise error("no answer", request=request)

    with pytest.raises(Silence) as silence:
        soon(handler)
    assert silence.value.kind is kind
    assert "CANARY" not in told(silence.value)


def test_an_event_loop_is_not_kept_waiting_for_ever() -> None:
    async def never(sdk: Any) -> Any:
        await asyncio.Event().wait()

    async def ask() -> None:
        async with httpx.AsyncClient() as http:
            await Wire(HOME, KEY).ask_soon(http, 0.01, never)

    with pytest.raises(Silence) as silence:
        asyncio.run(ask())
    assert silence.value.kind is FailureKind.TIMEOUT
