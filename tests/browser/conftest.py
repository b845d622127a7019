"""A real browser at Airflow's own application, served on loopback, over a ledger that holds every kind of job."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn

from tests.aiprod_airflow.api.conftest import _api_catalogue, _mute_catalogue, airflow_app, api, mute
from tests.aiprod_airflow.api.people import API

__all__ = ["_api_catalogue", "_mute_catalogue", "airflow_app", "api", "mute"]

#: A busy machine of two cores.
PATIENCE = 20_000


@dataclass
class Studio:
    """The served application and a browser; `troubles` are what its console complained about."""

    api: API
    url: str
    browser: Any
    troubles: list[str]

    def page(self, name: str = "bob", role: str = "user", *, dark: bool = False, phone: bool = False) -> Any:
        size = {"width": 390, "height": 844} if phone else {"width": 1360, "height": 900}
        context = self.browser.new_context(
            viewport=size, color_scheme="dark" if dark else "light", locale="en-GB", timezone_id="Europe/Berlin"
        )
        context.add_cookies([{"name": "_token", "value": self.api.token(name, role), "url": self.url}])
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda said: self.troubles.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        return page

    def at(self, path: str = "") -> str:
        return f"{self.url}/aiprod/studio{path}"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")
    where = shutil.which("chromium")
    if where is None:
        pytest.skip("the browser tests need Chromium")
    with sync_api.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=where, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture
def studio(api: API, chromium: Any) -> Iterator[Studio]:
    """The house, open. Whatever the console complained about fails the test."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    api.recorded()
    server = uvicorn.Server(uvicorn.Config(api.app, host="127.0.0.1", port=port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    ends = time.monotonic() + 20
    while not server.started and time.monotonic() < ends:
        time.sleep(0.02)
    open_one = Studio(api, f"http://127.0.0.1:{port}", chromium, [])
    yield open_one
    for context in chromium.contexts:
        context.close()
    server.should_exit = True
    thread.join(10)
    assert open_one.troubles == []
