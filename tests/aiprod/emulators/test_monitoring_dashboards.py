"""Dashboards are spoken of over HTTP, one at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import httpx
import pytest

from aiprod.emulators.monitoring_dashboards import DashboardServer
from aiprod.emulators.monitoring_plans import Plans

NAME = "projects/p/dashboards/one"
DASHBOARD = {"displayName": "d", "name": NAME, "mosaicLayout": {"tiles": [{"width": 1, "height": 1, "widget": {}}]}}


@pytest.fixture
def origin() -> Iterator[str]:
    with DashboardServer(Plans({})) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


def test_it_is_made_read_and_changed_in_place(origin: str) -> None:
    assert httpx.get(f"{origin}/{NAME}").status_code == 404
    assert httpx.patch(f"{origin}/{NAME}", json=DASHBOARD).status_code == 404
    assert httpx.post(f"{origin}/projects/p/dashboards", json=DASHBOARD).json()["name"] == NAME
    assert httpx.post(f"{origin}/projects/p/dashboards", json=DASHBOARD).status_code == 409
    changed = httpx.patch(f"{origin}/{NAME}", json={**DASHBOARD, "displayName": "other"})
    assert changed.status_code == 200
    assert httpx.get(f"{origin}/{NAME}").json()["displayName"] == "other"
