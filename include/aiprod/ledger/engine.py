"""Opening the ledger: engine, transactions, the database's clock and the schema's revision."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from aiprod import settings
from aiprod.errors import ConfigError, OtherRevision
from aiprod.ledger import turns
from aiprod.ledger.connections import CLOCK, PATIENCE, busy, connected, file_of, pauses

__all__ = ["Ledger", "open_ledger"]

VERSION_TABLE = "ledger_alembic_version"
#: The newest migration. A test holds it to the files in `migrations/versions`.
REVISION = "0007"
_UPGRADE = "python -m aiprod.cli ledger upgrade"
_MIGRATIONS = Path(__file__).parent / "migrations"
#: Enough that logging in, the slow part, is done while others write.
_LANES = 4
_IN_LANE = threading.local()

T = TypeVar("T")


class Ledger:
    """One ledger database. `write` and `read` each open one transaction.

    A Postgres connection ends with its transaction, unless `keep` is asked for: a thousand tasks share a hundred.
    `clock` stands in for the database's clock: for whoever rehearses days and leases without waiting for them.
    It returns aware times. Left out, `now` asks the database.
    """

    def __init__(self, url: str, *, keep: bool = False, clock: Callable[[], datetime] | None = None) -> None:
        self.url = url
        try:
            self.engine = connected(url, keep=keep, clock=clock)
        except (ArgumentError, ImportError, ValueError) as error:
            # Its own words may hold the password.
            why = str(error) if isinstance(error, ImportError) else "it is no address of a SQLite or PostgreSQL database"
            raise ConfigError(f"AIPROD_DATABASE_URL cannot be used: {why}") from None

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that may change rows; on SQLite it takes the write lock at once."""
        file = file_of(self.url)
        with turns.turn(file) if file else nullcontext(), self.engine.begin() as conn:
            yield conn

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns from one transaction, run again while the database was only too busy for it.

        For what many do at once. `work` starts afresh each time: whatever it did before was rolled back.
        Whatever it raises itself is raised at once.
        """
        again = pauses(0.05)
        while True:
            try:
                with self._crowd(), self.write() as conn:
                    return work(conn)
            except DBAPIError as error:
                pause = next(again, None) if busy(error) else None
                if pause is None:
                    raise
                time.sleep(pause)

    @contextmanager
    def _crowd(self) -> Iterator[None]:
        """Let a few processes of this machine at a time come to Postgres; SQLite has a queue of its own.

        They would wait for one another there anyway, each with a connection that others lack: of a thousand, ten
        thousand logins were refused, and that took all the time there was.
        """
        if self.engine.dialect.name == "sqlite" or getattr(_IN_LANE, "yes", False):
            # Who has the turn and begins a second transaction would wait for itself.
            yield
            return
        with turns.turn(_lane(self.url, os.getpid() % _LANES), patience=PATIENCE):
            _IN_LANE.yes = True
            try:
                yield
            finally:
                _IN_LANE.yes = False

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
        """Create or migrate the schema to this release's revision, and return it.

        Raises `OtherRevision` for the ledger of a newer release: no way leads back.
        """
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
            found = _found(conn)
            if found is not None and found > REVISION:
                raise OtherRevision(f"the ledger at {self.where} {_other(found)}")
            config.attributes["connection"] = conn
            alembic_upgrade(config, "head")
        # Closed, so that SQLite moves the schema from its log into the file: a copy of the file is a ledger then.
        self.engine.dispose()
        return REVISION

    def check(self) -> None:
        """Raise `ConfigError` unless there is a schema, and `OtherRevision` unless it is at this release's revision."""
        file = file_of(self.url)
        if file is not None and not file.exists():
            # Connecting would create it, empty and readable for everybody.
            raise ConfigError(f"the ledger at {self.where} does not exist yet; run `{_UPGRADE}`")
        try:
            with self.read() as conn:
                found = _found(conn)
        except OperationalError as error:
            raise ConfigError(f"the ledger at {self.where} cannot be opened: {error.orig}") from None
        if found is None:
            raise ConfigError(f"the ledger at {self.where} has no schema yet; run `{_UPGRADE}`")
        if found != REVISION:
            raise OtherRevision(f"the ledger at {self.where} {_other(found)}")

    @property
    def where(self) -> str:
        """The address without its password."""
        return make_url(self.url).render_as_string(hide_password=True)


def _found(conn: Connection) -> str | None:
    """The revision of a ledger's schema, None before there is one."""
    if not inspect(conn).has_table(VERSION_TABLE):
        return None
    found: str | None = conn.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - our own name
    return found


def _other(found: str) -> str:
    """What a revision that is not this release's means, and the way out."""
    if found > REVISION:
        return f"is at revision {found}, newer than this release, which needs {REVISION}; start the newer release"
    return f"is at revision {found}, this release needs {REVISION}; run `{_UPGRADE}`"


@cache
def _lane(url: str, number: int) -> Path:
    """The file of one of the queues before a database."""
    name = hashlib.sha256(url.encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"aiprod-{os.getuid()}-{name}-{number}"


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
    clock: Callable[[], datetime] | None = conn.get_execution_options().get(CLOCK)
    if clock is not None:
        return clock().astimezone(UTC)
    if conn.dialect.name == "postgresql":
        stamp: datetime = conn.execute(text("SELECT clock_timestamp()")).scalar_one()
        return stamp.astimezone(UTC)
    return datetime.now(UTC)


def _private_folder(url: str) -> None:
    """Money records are their owner's only: folder 0700 when we make it, file 0600. Only the default folder is made."""
    file = file_of(url)
    if file is None:
        return
    if not file.parent.is_dir() and file.parent.resolve() != settings.var_dir().resolve():
        raise ConfigError(f"the folder {file.parent} of the ledger does not exist; make it, or correct AIPROD_DATABASE_URL")
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.touch(mode=0o600, exist_ok=True)
