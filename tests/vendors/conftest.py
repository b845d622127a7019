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
    return _street(sqlite_url, vendors, tmp_path, monkeypatch)


@pytest.fixture
def street_on_postgres(
    postgres_url: str, vendors: Vendors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, door_open: None
) -> Street:
    """The same, with a ledger on Postgres."""
    return _street(postgres_url, vendors, tmp_path, monkeypatch)


def _street(url: str, vendors: Vendors, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Street:
    for name, value in vendors.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AIPROD_DATABASE_URL", url)
    return Street(Ledger(url), vendors, folder)
