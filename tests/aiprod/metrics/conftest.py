"""Cloud Monitoring as a local service, and ledgers whose clock a test sets."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from aiprod.emulators.monitoring import Monitoring
from aiprod.ledger import Ledger


class Clock:
    """The time of the ledger and of the service, moved by the test."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def after(self, **passed: float) -> None:
        """Let some time pass."""
        self.now += timedelta(**passed)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Monitoring]:
    """Cloud Monitoring on this machine, with the test's clock; the sink writes to it."""
    with Monitoring(clock=lambda: clock().timestamp()) as running:
        for name, value in {**running.environment, "GCP_PROJECT_ID": "p"}.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def timed(sqlite_url: str, clock: Clock) -> Ledger:
    """An upgraded, empty ledger with the test's clock."""
    return Ledger(sqlite_url, clock=clock)
