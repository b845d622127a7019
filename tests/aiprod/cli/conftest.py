"""A small AIPROD over HTTP that commands are told of, as people tell them of theirs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api import TOKEN, Server, serving


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Named by the environment."""
    with serving() as desk:
        monkeypatch.setenv("AIPROD_API_URL", desk.url)
        monkeypatch.setenv("AIPROD_API_TOKEN", TOKEN)
        yield desk
