"""A market on each database for the rooms through which orders and money flow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aiprod.catalog import catalog
from aiprod.ledger import Ledger
from tests import vendor
from tests.auditor import audit
from tests.catalogue import write_catalogue
from tests.market import Market


@pytest.fixture(scope="session")
def _catalogues(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Catalogues by the vendors behind the paid backends; written once, as each is read once per process."""
    root, written = tmp_path_factory.mktemp("catalogues"), dict[str, Path]()

    def get(vendors: str) -> Path:
        if vendors not in written:
            written[vendors] = write_catalogue(root / vendors, vendors=vendors)
        return written[vendors]

    return get


@pytest.fixture(scope="session")
def _films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the vendors film once and sell to every test."""
    return tmp_path_factory.mktemp("films")


@pytest.fixture
def open_market(
    _catalogues: Callable[[str], Path], _films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, door_open: None
) -> Callable[[Ledger, str], Market]:
    """Open a market over a ledger, with a class of `tests.vendor` behind the paid backends."""

    def opened(ledger: Ledger, vendors: str) -> Market:
        books = tmp_path / "books"
        books.mkdir()
        (books / "films").symlink_to(_films)
        monkeypatch.setenv("AIPROD_DATABASE_URL", ledger.url)
        monkeypatch.setenv("AIPROD_CONFIG_DIR", str(_catalogues(vendors)))
        monkeypatch.setenv(vendor.BOOKS, str(books))
        return Market(ledger, catalog(), books)

    return opened


@pytest.fixture
def market(ledger: Ledger, open_market: Callable[[Ledger, str], Market]) -> Market:
    """On each database, with vendors that can be asked for a lost request."""
    return open_market(ledger, "ListingVendor")


@pytest.fixture
def mute_market(ledger: Ledger, open_market: Callable[[Ledger, str], Market]) -> Market:
    """On each database, with vendors that offer no way to look."""
    return open_market(ledger, "MuteVendor")


@pytest.fixture
def local_market(sqlite_url: str, open_market: Callable[[Ledger, str], Market]) -> Iterator[Market]:
    """On SQLite only, for what is the same on every database."""
    ledger = Ledger(sqlite_url)
    yield open_market(ledger, "ListingVendor")
    with ledger.read() as conn:
        assert audit(conn) == []
