"""Orders, vendors and operators for tests of the Airflow side, without Airflow's database or any process of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tests.airflow_home  # noqa: F401 - before Airflow is imported

# isort: split
from airflow.sdk import BaseOperator
from airflow.sdk.bases.operator import ExecutorSafeguard

from aiprod.ledger import open_ledger
from tests import vendor
from tests.aiprod_airflow.shop import RUN, Call, Shop, TaskInstance
from tests.auditor import audit
from tests.catalogue import write_catalogue


@pytest.fixture(scope="session")
def _catalogues(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Catalogues by the vendors behind the paid backends; written once, as each is read once per process."""
    root, written = tmp_path_factory.mktemp("catalogues"), dict[str, Path]()

    def get(vendors: str) -> Path:
        if vendors not in written:
            written[vendors] = write_catalogue(root / vendors, vendors=vendors, strikes=10_000)
        return written[vendors]

    return get


@pytest.fixture
def shop(
    request: pytest.FixtureRequest,
    _catalogues: Callable[[str], Path],
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    door_open: None,
) -> Iterator[Shop]:
    """Vendors that can be asked for lost requests, or those of `@pytest.mark.parametrize("shop", [...], indirect=True)`."""
    books = tmp_path / "books"
    books.mkdir()
    monkeypatch.setenv("AIPROD_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("AIPROD_CONFIG_DIR", str(_catalogues(getattr(request, "param", "ListingVendor"))))
    monkeypatch.setenv(vendor.BOOKS, str(books))
    opened = open_ledger()
    yield Shop(opened, books)
    with opened.read() as conn:
        assert audit(conn) == []


@pytest.fixture
def ti() -> TaskInstance:
    return TaskInstance()


@pytest.fixture
def call(ti: TaskInstance) -> Call:
    """Call a method of an operator as the task runner does, with the context that ours read."""

    def run(operator: BaseOperator, method: str = "execute", **arguments: Any) -> Any:
        context = {"run_id": RUN, "ti": ti, "task_instance": ti, "task": operator}
        token = ExecutorSafeguard.tracker.set(operator)
        try:
            return getattr(operator, method)(context, **arguments)
        finally:
            ExecutorSafeguard.tracker.reset(token)

    return run
