"""A webhook is signed as the standard says, sent once per try, to public addresses, and never waits for long."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpcore
import pytest

from aiprod.errors import ConfigError, NoticeRefused
from aiprod.webhooks import deliver, signature
from tests.receiver import SECRET, Receiver, receiving
from tests.web import EVIL_URLS, World, answer, endless, silent

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
URL = "https://hooks.example/in?token=SECRET-CANARY"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as opened:
        yield opened


def send(receiver: Receiver, secret: str = SECRET) -> None:
    deliver(f"{receiver.origin}/hook", "msg_1", b'{"type":"x"}', secret=secret, at=AT, own=(receiver.origin,))


def refused(world: World, url: str = URL) -> str:
    with pytest.raises(NoticeRefused) as raised:
        deliver(url, "msg_1", b"{}", secret=SECRET, at=AT, network=world.network)
    assert "SECRET-CANARY" not in str(raised.value)
    return str(raised.value)


def test_the_signature_is_that_of_the_standards_own_example() -> None:
    at = datetime.fromtimestamp(1614265330, UTC)
    signed = signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_receiver_checks_it_with_its_own_key(receiver: Receiver) -> None:
    send(receiver)
    assert (receiver.ids, receiver.headers[0]["webhook-timestamp"]) == (["msg_1"], str(int(AT.timestamp())))


def test_while_a_secret_is_changed_both_are_signed_with(receiver: Receiver) -> None:
    other = f"whsec_{base64.b64encode(b'x' * 24).decode()}"
    send(receiver, f"{other} {SECRET}")
    assert receiver.ids == ["msg_1"]
    with pytest.raises(NoticeRefused, match="401"):
        send(receiver, other)


@pytest.mark.parametrize("secret", ["", " ", "SECRET-CANARY", "whsec_SECRET-CANARY!", "whsec_c2hvcnQ=", "c" * 40])
def test_a_secret_that_is_none_is_refused_without_showing_it(receiver: Receiver, secret: str) -> None:
    with pytest.raises(ConfigError) as raised:
        send(receiver, secret)
    assert "CANARY" not in str(raised.value) and receiver.paths == []


@pytest.mark.parametrize("status", [400, 404, 410, 429, 500, 503])
def test_any_answer_but_a_good_one_is_no_delivery(receiver: Receiver, status: int) -> None:
    receiver.answers = [status]
    with pytest.raises(NoticeRefused, match=f"HTTP {status}"):
        send(receiver)


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.answers = [307]
    with pytest.raises(NoticeRefused, match="redirects are not followed"):
        send(receiver)
    assert receiver.paths == ["/hook"]


@pytest.mark.parametrize("url", EVIL_URLS)
def test_an_address_that_is_not_public_is_not_even_looked_up(url: str) -> None:
    world = World.of(answer(200))
    assert "refused to follow an address" in refused(world, url)
    assert (world.asked, world.reached) == ([], [])


@pytest.mark.parametrize("ip", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1"])
def test_a_public_name_that_leads_inside_is_not_connected_to(ip: str) -> None:
    world = World({(ip, 443): [answer(200)]}, {"hooks.example": [[ip]]})
    assert "is not public" in refused(world)
    assert world.reached == []


def test_a_name_that_changes_its_mind_is_connected_to_where_it_was_checked() -> None:
    hosts: Any = {("93.184.216.34", 443): [answer(204)], ("127.0.0.1", 443): [answer(204)]}
    world = World(hosts, {"hooks.example": [["93.184.216.34"], ["127.0.0.1"]]})
    deliver(URL, "msg_1", b"{}", secret=SECRET, at=AT, network=world.network)
    assert (world.reached, world.wires[0].certified) == ([("93.184.216.34", 443)], "hooks.example")


def test_a_receiver_that_says_nothing_is_given_ten_seconds() -> None:
    world = World.of([b"HTTP/1.1 200 OK\r\n", *[b"x: y\r\n"] * 100], host="hooks.example")
    world.seconds_per_read = 3.0
    refused(world)
    assert 9 <= world.time <= 15


def test_a_receiver_that_breaks_off_may_have_taken_it_and_is_told_again() -> None:
    assert "hooks.example" in refused(World.of(silent(httpcore.ReadError("reset")), host="hooks.example"))


def test_an_answer_without_an_end_is_not_read() -> None:
    world = World.of(endless(b"x" * 1_000), host="hooks.example")
    deliver(URL, "msg_1", b"{}", secret=SECRET, at=AT, network=world.network)
