"""The fixture `vendors`: all paid vendors on a free port, with books of their own for every test. It sets nothing.

In a `conftest.py`: `pytest_plugins = ["aiprod.emulators.pytest_plugin"]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aiprod.emulators.film import Studio
from aiprod.emulators.running import Vendors

__all__ = ["vendors"]


@pytest.fixture(scope="session")
def _studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """Films are drawn once per session."""
    return Studio(tmp_path_factory.mktemp("films"))


@pytest.fixture
def vendors(_studio: Studio, tmp_path: Path) -> Iterator[Vendors]:
    """Runway, Veo on Vertex with its bucket, and Replicate. A bug in them fails the test, whatever it expected."""
    with Vendors(tmp_path / "vendors", studio=_studio) as running:
        yield running
    bugs = [event["traceback"] for event in running.events() if event["event"] == "bug"]
    if bugs:
        pytest.fail(bugs[0])
