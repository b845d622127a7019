"""Nobody gets past the login, on any route; and each of Airflow's roles may do here what it may do in Airflow."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.testclient import WebSocketDenialResponse

from aiprod_airflow.api.app import create_app
from tests.aiprod_airflow.api.people import API, ORDER, ROLES

#: What each route asks for, by hand: a route that is not here fails the walk.
NEEDS = {
    "GET /job/{job_id}": "read",
    "GET /job/{job_id}/manifest": "read",
    "GET /job/{job_id}/costs": "read",
    "GET /job/{job_id}/video": "read",
    "GET /job/{job_id}/poster": "read",
    "GET /job/{job_id}/contact-sheet": "read",
    "GET /job/{job_id}/take/{take_id}": "read",
    "GET /job/{job_id}/events": "read",
    "HEAD /job/{job_id}/video": "read",
    "HEAD /job/{job_id}/poster": "read",
    "HEAD /job/{job_id}/contact-sheet": "read",
    "HEAD /job/{job_id}/take/{take_id}": "read",
    "GET /jobs": "read",
    "GET /metrics": "read",
    "GET /presets": "read",
    "GET /backends": "read",
    "GET /budget": "read",
    "GET /parked": "read",
    "GET /campaigns/{campaign}": "read",
    "GET /openapi.json": "read",
    "POST /cost-estimate": "read",
    "POST /job/create": "write",
    "POST /job/{job_id}/manifest": "write",
    "POST /job/{job_id}/redo": "write",
    "POST /job/{job_id}/approve": "write",
    "POST /job/{job_id}/reject": "write",
    "POST /job/{job_id}/cancel": "write",
    "DELETE /job/{job_id}/media": "write",
    "POST /parked": "write",
    "POST /campaigns/{campaign}/{verb}": "write",
    # The studio's pages, for the same people.
    "GET /studio": "read",
    "GET /studio/job/{job_id}": "read",
    "GET /studio/job/{job_id}/thumbnail": "read",
    "GET /studio/run": "read",
    "GET /studio/new": "read",
    "GET /studio/needs-you": "read",
    "GET /studio/money": "read",
    "GET /studio/money.csv": "read",
    "GET /studio/static/{name:path}": "read",
    "GET /studio/campaigns": "read",
    "POST /studio/estimate": "read",
    "POST /studio/campaigns": "write",
    "POST /studio/job/{job_id}/price": "write",
    "POST /studio/new": "write",
    "POST /studio/job/{job_id}/approve": "write",
    "POST /studio/job/{job_id}/reject": "write",
    "POST /studio/job/{job_id}/cancel": "write",
    "POST /studio/job/{job_id}/manifest": "write",
    "POST /studio/job/{job_id}/redo": "write",
    "POST /studio/parked": "write",
}

BODIES: dict[str, Any] = {
    "POST /cost-estimate": ORDER,
    "POST /job/create": {**ORDER, "preset": "nobody"},
    "POST /job/{job_id}/manifest": {"base_version": 1, "shots": [{"prompt": "x"}]},
    "POST /job/{job_id}/redo": {"base_version": 1, "shots": [1]},
    "POST /job/{job_id}/approve": {"version": 1, "amount": 1},
    "POST /job/{job_id}/reject": {"version": 1, "amount": 1},
    "POST /parked": {"purchase_id": "nobody", "answer": "write_off", "why": "x"},
}


def routes() -> list[str]:
    """Every HTTP route there is, as `METHOD /path`: what somebody adds is walked too."""
    found = [route for route in create_app().routes if isinstance(route, APIRoute)]
    return sorted(f"{method} {route.path}" for route in found for method in route.methods)


def ask(api: API, role: str | None, route: str) -> int:
    method, path = route.split(" ")
    url = f"/aiprod{path.replace('{name:path}', 'x').format(job_id='no-such-job', take_id='x', campaign='x', verb='pause')}"
    # A member of every project: what somebody's projects hide has tests of its own.
    return api.client("alice", role).request(method, url, json=BODIES.get(route)).status_code


def test_every_route_is_in_the_matrix_and_nothing_else_is_mounted(api: API) -> None:
    assert routes() == sorted(NEEDS)
    others = [route for route in api.ours.routes if not isinstance(route, APIRoute)]
    assert [getattr(route, "path", None) for route in others] == ["/ws/job/{job_id}"]
    assert isinstance(others[0], APIWebSocketRoute)


@pytest.mark.parametrize("role", ROLES, ids=str)
def test_a_role_may_what_it_may_in_airflow(api: API, role: str | None) -> None:
    said = {route: ask(api, role, route) for route in NEEDS}

    if role is None:
        assert set(said.values()) == {401}
        return
    refused = {route for route, status in said.items() if status == 403}
    assert refused == ({route for route, needs in NEEDS.items() if needs == "write"} if role == "viewer" else set())
    # Past the door each says what it has to say: there is no such job, order or purchase.
    assert {status for route, status in said.items() if route not in refused} <= {200, 404, 409, 422}


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer x", "Bearer a.b.c", "Basic YTpi"])
def test_a_credential_that_is_none_opens_nothing(api: API, token: str) -> None:
    assert api.client(role=None, Authorization=token).get("/aiprod/presets").status_code in (401, 403)


@pytest.mark.parametrize("role", [None, "viewer"], ids=str)
def test_a_websocket_takes_the_same_people(api: API, role: str | None) -> None:
    api.recorded()
    job_id = api.order()
    client = api.client("somebody", role)
    if role is None:
        with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect(f"/aiprod/ws/job/{job_id}"):
            pass
        assert (denied.value.status_code, denied.value.json()["status"]) == (401, 401)
        return
    with client.websocket_connect(f"/aiprod/ws/job/{job_id}") as socket:
        assert socket.receive_json()["data"]["job_id"] == job_id


def test_nothing_is_told_of_what_is_not_there(api: API) -> None:
    for path in ("/docs", "/redoc", "/openapi", "/job/x/nothing", "/job//video", "/..%2fapi", "/job/%2e%2e/video"):
        assert api.client(role=None).get(f"/aiprod{path}").status_code in (401, 404, 405)


def test_the_document_says_what_every_route_asks_for(api: API) -> None:
    document = api.client(role="viewer").get("/aiprod/openapi.json").json()

    assert {f"{m.upper()} {path}" for path, methods in document["paths"].items() for m in methods} == {
        route for route in NEEDS if not route.startswith("HEAD") and route != "GET /openapi.json" and "/studio" not in route
    }
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            verb = operation["x-permission"].split(" ")[0]
            assert verb == ("GET" if NEEDS[f"{method.upper()} {path}"] == "read" else method.upper())
            assert operation["responses"]["422"]["content"]["application/problem+json"]


def test_a_fault_of_ours_tells_nothing_of_the_inside(api: API, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("the password is canary")

    monkeypatch.setattr("aiprod_airflow.api.offers.PresetRow", broken)
    api.strict = False
    said = api.client().get("/aiprod/presets")

    assert (said.status_code, said.headers["content-type"]) == (500, "application/problem+json")
    assert "canary" not in said.text


def test_airflow_lists_the_plugin_and_found_nothing_wrong_with_it(api: API) -> None:
    admin = api.client("root", "admin")

    assert "aiprod" in [plugin["name"] for plugin in admin.get("/api/v2/plugins").json()["plugins"]]
    assert admin.get("/api/v2/plugins/importErrors").json()["import_errors"] == []
