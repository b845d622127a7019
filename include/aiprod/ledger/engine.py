"""Opening the ledger: engine, transactions, the database's clock and the schema's revision."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from aiprod import settings
from aiprod.errors import ConfigError

__all__ = ["Ledger", "open_ledger"]

VERSION_TABLE = "ledger_alembic_version"
#: The newest migration. A test holds it to the files in `migrations/versions`.
REVISION = "0002"
_MIGRATIONS = Path(__file__).parent / "migrations"
#: Longer than any transaction here, shorter than a task's patience.
_BUSY_MILLISECONDS = 30_000
#: The execution option that carries a ledger's own clock to every connection it opens.
_CLOCK = "aiprod_clock"


class Ledger:
    """One ledger database. `write` and `read` each open one transaction.

    `clock` stands in for the database's clock: for whoever rehearses days and leases without waiting for them.
    It returns aware times. Left out, `now` asks the database.
    """

    def __init__(self, url: str, *, clock: Callable[[], datetime] | None = None) -> None:
        self.url = url
        self.engine = _engine(url, clock)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that may change rows; on SQLite it takes the write lock at once."""
        with self.engine.begin() as conn:
            yield conn

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent snapshot, rolled back at the end."""
        options: dict[str, Any] = {"read_only": True}
        if self.engine.dialect.name == "postgresql":
            # READ COMMITTED would give every statement a snapshot of its own.
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with self.engine.connect().execution_options(**options) as conn:
            yield conn
            conn.rollback()

    def upgrade(self) -> str:
        """Create or migrate the schema to this release's revision, and return it."""
        # Only here: every task opens a ledger, and importing Alembic costs more than the rest of that.
        from alembic.command import upgrade as alembic_upgrade
        from alembic.config import Config

        _private_folder(self.url)
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        with self.engine.begin() as conn:
            if conn.dialect.name == "postgresql":
                # Two machines that start together migrate one after the other, as SQLite's write lock makes them.
                conn.execute(text("SELECT pg_advisory_xact_lock(hashtext('aiprod ledger upgrade'))"))
            config.attributes["connection"] = conn
            alembic_upgrade(config, "head")
        return REVISION

    def check(self) -> None:
        """Raise `ConfigError` unless the schema is at this release's revision."""
        file = _file(self.url)
        if file is not None and not file.exists():
            # Connecting would create it, empty and readable for everybody.
            raise ConfigError(f"the ledger at {self.where} does not exist yet; run `python -m aiprod.cli ledger upgrade`")
        try:
            with self.read() as conn:
                known = inspect(conn).has_table(VERSION_TABLE)
                found = conn.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar() if known else None  # noqa: S608
        except OperationalError as error:
            raise ConfigError(f"the ledger at {self.where} cannot be opened: {error.orig}") from None
        if found != REVISION:
            state = "has no schema yet" if found is None else f"is at revision {found}, this release needs {REVISION}"
            raise ConfigError(f"the ledger at {self.where} {state}; run `python -m aiprod.cli ledger upgrade`")

    @property
    def where(self) -> str:
        """The address without its password."""
        return make_url(self.url).render_as_string(hide_password=True)


@cache
def _opened(url: str, pid: int) -> Ledger:
    ledger = Ledger(url)
    ledger.check()
    return ledger


def open_ledger(url: str | None = None) -> Ledger:
    """Return this process's ledger, its revision checked. A forked child opens its own."""
    return _opened(url or settings.database_url(), os.getpid())


def now(conn: Connection) -> datetime:
    """The database's clock, unless the ledger was opened with another: workers whose own clocks differ agree on the day."""
    clock: Callable[[], datetime] | None = conn.get_execution_options().get(_CLOCK)
    if clock is not None:
        return clock().astimezone(UTC)
    if conn.dialect.name == "postgresql":
        stamp: datetime = conn.execute(text("SELECT clock_timestamp()")).scalar_one()
        return stamp.astimezone(UTC)
    return datetime.now(UTC)


def _private_folder(url: str) -> None:
    """Money records are their owner's only: folder 0700 when we make it, file 0600."""
    file = _file(url)
    if file is None:
        return
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.touch(mode=0o600, exist_ok=True)


def _file(url: str) -> Path | None:
    """The file of a SQLite ledger."""
    path = make_url(url).database
    return Path(path) if url.startswith("sqlite") and path and path != ":memory:" else None


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Turn write-ahead logging on. Of several first openers SQLite refuses some at once, whatever their busy timeout."""
    give_up = time.monotonic() + _BUSY_MILLISECONDS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.01)


def _engine(url: str, clock: Callable[[], datetime] | None) -> Engine:
    said = {_CLOCK: clock}
    if not url.startswith("sqlite"):
        options = "-c statement_timeout=5000 -c lock_timeout=2000 -c idle_in_transaction_session_timeout=10000"
        # Tasks are short-lived forks: a pooled connection would be shared by parent and child.
        return create_engine(
            url, poolclass=NullPool, execution_options=said, connect_args={"connect_timeout": 10, "options": options}
        )
    engine = create_engine(url, poolclass=NullPool, execution_options=said)

    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, record: Any) -> None:
        # Transactions are begun below, by us: sqlite3's deferred BEGIN cannot be upgraded under contention.
        connection.isolation_level = None
        for pragma in (f"busy_timeout={_BUSY_MILLISECONDS}", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        _switch_to_wal(connection)

    @event.listens_for(engine, "begin")
    def _on_begin(conn: Connection) -> None:
        conn.exec_driver_sql("BEGIN" if conn.get_execution_options().get("read_only") else "BEGIN IMMEDIATE")

    return engine
