"""Which sinks there are is said by name; a name nobody knows is an error and not silence."""

from __future__ import annotations

import pytest

from aiprod.errors import ConfigError
from aiprod.ledger import Ledger
from aiprod.metrics.configured import sinks_of


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("", ["ledger"]),
        ("otlp", ["ledger", "otlp"]),
        (" cloud_monitoring , otlp,otlp", ["ledger", "cloud_monitoring", "otlp"]),
    ],
)
def test_the_ledger_always_and_whoever_is_named(
    monkeypatch: pytest.MonkeyPatch, sqlite_url: str, said: str, names: list[str]
) -> None:
    monkeypatch.setenv("AIPROD_METRICS_SINKS", said)
    assert [sink.name for sink in sinks_of(Ledger(sqlite_url))] == names


def test_a_name_nobody_knows_is_said(monkeypatch: pytest.MonkeyPatch, sqlite_url: str) -> None:
    monkeypatch.setenv("AIPROD_METRICS_SINKS", "gcm")
    with pytest.raises(ConfigError, match="no sink is called 'gcm'; known: cloud_monitoring, otlp"):
        sinks_of(Ledger(sqlite_url))
