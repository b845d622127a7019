"""What every test may rely on: no network, no paying, its own folders, and a ledger on SQLite and on Postgres."""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase
from hypothesis import settings as hypothesis_settings

from aiprod.catalog import Catalog, catalog
from aiprod.ledger import Ledger
from tests.auditor import audit
from tests.desk import Desk
from tests.postgres import INSTALL, PrivatePostgres, binaries

#: Names that would let a developer's own settings, or keys, into a test.
_OURS = ("AIPROD_", "AIRFLOW__DATABASE__", "RUNWAYML_", "REPLICATE_", "GCP_PROJECT_ID", "GOOGLE_")


#: The fixture `vendors`: all paid vendors as local servers.
pytest_plugins = ["aiprod.emulators.pytest_plugin"]

#: `--hypothesis-profile=unshrunk`: for who only asks whether a test fails, not for the smallest reason.
hypothesis_settings.register_profile("unshrunk", phases=[Phase.explicit, Phase.generate])


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "postgres: needs the PostgreSQL server programs")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On several cores: a file's tests stay together, those of the one real Airflow too, and that one, the longest, begins."""
    if not hasattr(config, "workerinput"):
        return
    airflow = config.rootpath / "tests" / "scheduler"
    for item in items:
        group = "scheduler" if airflow in item.path.parents else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: airflow not in item.path.parents)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the caller's environment, an own folder, and the paying door shut."""
    for name in list(os.environ):
        if name.startswith(_OURS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AIPROD_DRY_RUN", "1")
    monkeypatch.setenv("AIPROD_VAR_DIR", str(tmp_path / "var"))


@pytest.fixture
def door_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let requests leave, for a test that buys from an emulator or a backend of its own."""
    monkeypatch.delenv("AIPROD_DRY_RUN")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only loopback. Fails the test rather than raising an error that the code under test might expect."""
    resolve, connect, connect_ex, sendto = (
        socket.getaddrinfo,
        socket.socket.connect,
        socket.socket.connect_ex,
        socket.socket.sendto,
    )

    def guarded_resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        _loopback_only(host)
        return resolve(host, *args, **kwargs)

    def guarded_connect(self: socket.socket, address: Any) -> None:
        _loopback_only(address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        _loopback_only(address)
        return connect_ex(self, address)

    def guarded_sendto(self: socket.socket, *args: Any) -> int:
        _loopback_only(args[-1])
        return sendto(self, *args)

    monkeypatch.setattr(socket, "getaddrinfo", guarded_resolve)
    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    monkeypatch.setattr(socket.socket, "sendto", guarded_sendto)


def _loopback_only(address: Any) -> None:
    host = address[0] if isinstance(address, tuple) else address
    # None is the wildcard of getaddrinfo, a lone string or bytes of a socket is a path of AF_UNIX.
    if host is None or (not isinstance(address, tuple) and "/" in os.fsdecode(host)):
        return
    name = host.decode() if isinstance(host, bytes) else str(host)
    try:
        local = ipaddress.ip_address(name.split("%")[0]).is_loopback or name in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    except ValueError:
        local = name in ("localhost", "", socket.gethostname())
    if not local:
        pytest.fail(f"a test reached for {address!r}; only loopback is allowed")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PrivatePostgres]:
    """One private server for the session; stopped and deleted at its end."""
    folder = binaries()
    if folder is None:
        if os.environ.get("CI"):
            pytest.fail(INSTALL)
        pytest.skip(INSTALL)
    server = PrivatePostgres(folder)
    yield server
    server.stop()


@pytest.fixture
def empty_postgres(postgres_server: PrivatePostgres) -> str:
    """The address of an empty database."""
    return postgres_server.url(postgres_server.database())


@pytest.fixture(scope="session")
def _upgraded_postgres(postgres_server: PrivatePostgres) -> str:
    name = postgres_server.database()
    Ledger(postgres_server.url(name)).upgrade()
    return name


@pytest.fixture
def postgres_url(postgres_server: PrivatePostgres, _upgraded_postgres: str) -> str:
    """The address of a database with an upgraded, empty ledger."""
    postgres_server.clear(_upgraded_postgres)
    return postgres_server.url(_upgraded_postgres)


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("ledger") / "template.db"
    Ledger(f"sqlite:///{file}").upgrade()
    return file


@pytest.fixture
def sqlite_url(_sqlite_template: Path, tmp_path: Path) -> str:
    """The address of a file with an upgraded, empty ledger."""
    file = tmp_path / "ledger.db"
    shutil.copyfile(_sqlite_template, file)
    return f"sqlite:///{file}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def ledger_url(request: pytest.FixtureRequest) -> str:
    """The address of an upgraded, empty ledger: a test that asks for it runs on both databases."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    """An upgraded, empty ledger on each database. Whatever the test did, its books are in order afterwards."""
    opened = Ledger(ledger_url)
    yield opened
    with opened.read() as conn:
        assert audit(conn) == []


@pytest.fixture
def config() -> Catalog:
    """The catalogue this release ships."""
    return catalog()


@pytest.fixture
def desk(ledger: Ledger, config: Catalog) -> Desk:
    """Where tests order, hold and step purchases; plenty of slots at Runway."""
    made = Desk(ledger, config)
    made.with_backend("runway", slots=100)
    return made
