"""Connections to a ledger's database: how they are opened, kept and given up, and when a busy database is asked again."""

from __future__ import annotations

import os
import random
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.pool import NullPool, QueuePool

__all__ = ["CLOCK", "PATIENCE", "busy", "connected", "file_of", "pauses"]

#: Seconds in which a thousand tasks that start together have all been let in, even on a slow machine.
PATIENCE = 90.0
#: The execution option that carries a ledger's own clock to every connection it opens.
CLOCK = "aiprod_clock"
#: Longer than any transaction here, shorter than a task's patience.
_BUSY_MILLISECONDS = 30_000
#: How long the write-ahead log grows, in pages of 4 kB, before its pages are written to their place: 16 MB. A hold
#: touches a dozen pages, mostly the same: at SQLite's own thousand every twentieth hold or so would write them all.
_LOG_PAGES = 4_000
#: Serialisation failure, deadlock, lock or statement timeout: all of it was rolled back, and may be run again.
_AGAIN = ("40001", "40P01", "55P03", "57014")
#: A refused login has no code, only words; nothing was sent, so asking again is safe.
_FULL = ("too many clients", "too many connections", "connection slots are reserved", "timeout expired")


@cache
def file_of(url: str) -> Path | None:
    """The file of a SQLite ledger."""
    path = make_url(url).database
    return Path(path) if url.startswith("sqlite") and path and path != ":memory:" else None


def _inode(file: Path | None) -> int | None:
    return file.stat().st_ino if file is not None and file.exists() else None


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


def pauses(longest: float) -> Iterator[float]:
    """Pauses that grow from `longest` seconds, each of another length in every process, until patience is over."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        yield random.uniform(0.01, longest)  # noqa: S311 - spreads callers, hides nothing
        longest = min(2 * longest, 8.0)


def busy(error: DBAPIError) -> bool:
    """Whether a transaction failed only because others were at work."""
    if isinstance(error.orig, sqlite3.OperationalError):
        return error.orig.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
    return getattr(error.orig, "sqlstate", None) in _AGAIN


def connected(url: str, *, keep: bool, clock: Callable[[], datetime] | None) -> Engine:
    """Return an engine for SQLite or Postgres; `keep` lets a Postgres connection outlive its transaction."""
    sqlite = url.startswith("sqlite")
    # One idle connection at most. On SQLite the last one to close rewrites the file: 24 ms a transaction, 4 ms without.
    pool: dict[str, Any] = {"poolclass": NullPool}
    if keep or sqlite:
        pool = {"poolclass": QueuePool, "pool_size": 1, "max_overflow": -1}
    pool["execution_options"] = {CLOCK: clock}
    engine = _sqlite(url, pool) if sqlite else _postgres(url, pool)
    _ENGINES.add(engine)
    return engine


#: Engines whose idle connections are closed before this process forks: a child must not even inherit them.
_ENGINES: weakref.WeakSet[Engine] = weakref.WeakSet()


def _close_idle() -> None:
    for engine in list(_ENGINES):
        engine.dispose()


os.register_at_fork(before=_close_idle)


def _postgres(url: str, pool: dict[str, Any]) -> Engine:
    options = "-c statement_timeout=5000 -c lock_timeout=2000 -c idle_in_transaction_session_timeout=10000"
    engine = create_engine(url, **pool, connect_args={"connect_timeout": 10, "options": options})

    @event.listens_for(engine, "do_connect")
    def _on_connecting(dialect: Any, record: Any, arguments: Any, options: dict[str, Any]) -> Any:
        # Postgres starts a process even for a refusal: a thousand that come again at once would keep it from working.
        again = pauses(0.5)
        while True:
            try:
                return dialect.connect(*arguments, **options)
            except dialect.dbapi.OperationalError as error:
                pause = next(again, None) if any(words in str(error) for words in _FULL) else None
                if pause is None:
                    raise
                time.sleep(pause)

    return engine


def _sqlite(url: str, pool: dict[str, Any]) -> Engine:
    engine = create_engine(url, **pool)
    file = file_of(url)

    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, record: Any) -> None:
        # Transactions are begun below, by us: sqlite3's deferred BEGIN cannot be upgraded under contention.
        connection.isolation_level = None
        checkpoints = f"wal_autocheckpoint={_LOG_PAGES}"
        for pragma in (f"busy_timeout={_BUSY_MILLISECONDS}", "synchronous=FULL", "foreign_keys=ON", checkpoints):
            connection.execute(f"PRAGMA {pragma}")
        _switch_to_wal(connection)
        record.info["inode"] = _inode(file)

    @event.listens_for(engine, "checkout")
    def _on_checkout(connection: sqlite3.Connection, record: Any, proxy: Any) -> None:
        if record.info["inode"] != _inode(file):
            # A backup was put in its place: what we would write now nobody would ever read.
            raise DisconnectionError("the ledger's file was replaced")

    @event.listens_for(engine, "begin")
    def _on_begin(conn: Connection) -> None:
        conn.exec_driver_sql("BEGIN" if conn.get_execution_options().get("read_only") else "BEGIN IMMEDIATE")

    return engine
