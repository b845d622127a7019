"""A real browser at Airflow's own application, served on loopback, over a ledger that holds every kind of job."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from tests.aiprod_airflow.api.conftest import _api_catalogue, _mute_catalogue, airflow_app, api, mute
from tests.aiprod_airflow.api.people import API
from tests.browser.browsing import Studio, chromium_program

__all__ = ["_api_catalogue", "_mute_catalogue", "airflow_app", "api", "mute"]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser, without a page."""
    where = chromium_program()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=where, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture
def studio(api: API, chromium: Any) -> Iterator[Studio]:
    """The house, open, over the ledger of `api`. Whatever the console complained about fails the test."""
    api.recorded()
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        # Who comes before the house is open waits at this door.
        door.listen()
        config = uvicorn.Config(api.app, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([door],), daemon=True)
        thread.start()
        opened = Studio(f"http://127.0.0.1:{door.getsockname()[1]}", chromium, api.token)
        yield opened
        opened.close()
        server.should_exit = True
        thread.join(10)
    assert opened.troubles == []
