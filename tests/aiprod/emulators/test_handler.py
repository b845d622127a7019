"""What one connection carries: whose address it is, what is booked of it, and how it ends."""

from __future__ import annotations

import http.client
import json
from typing import Any

import httpx
import pytest

from tests.aiprod.emulators.test_running import BODY, HEADERS


@pytest.fixture
def wire(vendors: Any) -> Any:
    """One connection that stays open."""
    made = http.client.HTTPConnection(vendors.url.removeprefix("http://"), timeout=5)
    yield made
    made.close()


def asked(wire: Any, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    wire.request(method, path, None if body is None else json.dumps(body), HEADERS)
    answer = wire.getresponse()
    said = answer.read()
    return answer.status, json.loads(said) if said else None


def test_one_connection_carries_one_request_after_the_other(wire: Any) -> None:
    _, made = asked(wire, "POST", "/v1/text_to_video", BODY)
    own = wire.sock
    assert asked(wire, "GET", f"/v1/tasks/{made['id']}")[1]["status"] == "SUCCEEDED"
    assert asked(wire, "DELETE", f"/v1/tasks/{made['id']}") == (204, None)
    assert asked(wire, "GET", f"/v1/tasks/{made['id']}")[0] == 404
    assert wire.sock is own


def test_an_address_that_is_nobodys_is_said_to_be(wire: Any) -> None:
    for method, path in (("GET", "/v1/nothing"), ("POST", "/v1/tasks"), ("DELETE", "/v1/organization"), ("PUT", "/v1/tasks")):
        assert asked(wire, method, path, {}) == (404, {"error": "no such address"})


def test_a_request_that_was_refused_is_booked_as_that(wire: Any, vendors: Any) -> None:
    assert asked(wire, "POST", "/v1/text_to_video", BODY | {"duration": 99})[0] == 400
    assert [(e["status"], e["path"]) for e in vendors.events()] == [(400, "/v1/text_to_video")]


def test_an_escaped_address_is_the_same_address(wire: Any) -> None:
    assert asked(wire, "GET", "/v1/%6frganization")[0] == 200


def test_a_client_that_hangs_up_in_the_middle_leaves_the_others_alone(vendors: Any, client: httpx.Client) -> None:
    made = client.post(f"{vendors.url}/v1/text_to_video", json=BODY | {"promptText": "[[runway=endless]]"}, headers=HEADERS)
    task = client.get(f"{vendors.url}/v1/tasks/{made.json()['id']}", headers=HEADERS).json()
    with client.stream("GET", task["output"][0]) as said:
        assert said.status_code == 200
    assert client.get(f"{vendors.url}/v1/organization", headers=HEADERS).status_code == 200
