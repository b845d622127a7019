"""A street of vendors for every test in here."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiprod.emulators.running import Vendors
from aiprod.ledger import Ledger
from tests.vendors.street import Street


@pytest.fixture
def street(sqlite_url: str, vendors: Vendors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, door_open: None) -> Street:
    """Keys for all three, a ledger on SQLite, and the paying door open."""
    for name, value in vendors.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AIPROD_DATABASE_URL", sqlite_url)
    return Street(Ledger(sqlite_url), vendors, tmp_path)
