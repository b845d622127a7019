"""A key comes from one place, whole, and is never shown."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aiprod.backends.keys import Keys, forget, keys_of, offer

NAMES = ("RUNWAYML_API_SECRET", "RUNWAYML_BASE_URL")
NEEDS = NAMES[:1]


@pytest.fixture(autouse=True)
def _nobody_offers() -> Iterator[None]:
    offer(None)
    yield
    offer(None)


def test_the_environment_is_read_without_anybody_offering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNWAYML_API_SECRET", "from-here")
    assert keys_of("runway", NAMES, needs=NEEDS) == {"RUNWAYML_API_SECRET": "from-here"}


def test_an_offered_source_is_asked_where_the_environment_has_no_key() -> None:
    offer(lambda backend: {"RUNWAYML_API_SECRET": f"{backend}'s", "OTHER": "x"})
    assert keys_of("runway", NAMES, needs=NEEDS) == {"RUNWAYML_API_SECRET": "runway's"}


def test_a_key_of_the_environment_is_never_sent_to_an_address_of_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNWAYML_API_SECRET", "from-here")
    offer(lambda backend: {"RUNWAYML_API_SECRET": "x", "RUNWAYML_BASE_URL": "https://elsewhere.example"})
    assert keys_of("runway", NAMES, needs=NEEDS) == {"RUNWAYML_API_SECRET": "from-here"}


def test_a_key_of_a_connection_is_never_sent_to_an_address_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNWAYML_BASE_URL", "https://elsewhere.example")
    offer(lambda backend: {"RUNWAYML_API_SECRET": "x"})
    assert keys_of("runway", NAMES, needs=NEEDS) == {"RUNWAYML_API_SECRET": "x"}


def test_a_source_is_asked_once_per_backend() -> None:
    asked: list[str] = []
    offer(lambda backend: asked.append(backend) or {"RUNWAYML_API_SECRET": "x"})  # type: ignore[func-returns-value]
    for backend in ("runway", "runway", "veo3"):
        keys_of(backend, NAMES, needs=NEEDS)
    assert asked == ["runway", "veo3"]


def test_what_a_source_said_can_be_forgotten_and_is_asked_again() -> None:
    said = iter(("old", "new"))
    offer(lambda backend: {"RUNWAYML_API_SECRET": next(said)})
    assert keys_of("runway", NAMES, needs=NEEDS) == {"RUNWAYML_API_SECRET": "old"}

    forget()

    assert keys_of("runway", NAMES, needs=NEEDS) == {"RUNWAYML_API_SECRET": "new"}


@pytest.mark.parametrize("show", [repr, str, lambda keys: f"{keys}", lambda keys: f"{keys!r}"])
def test_no_value_is_ever_shown(show: object) -> None:
    assert "canary" not in show(Keys(RUNWAYML_API_SECRET="canary"))  # type: ignore[operator]
