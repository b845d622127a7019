"""Backups of the ledger, verified before they count, and restoring one: it opens with purchasing stopped."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from sqlalchemy import URL, Connection, delete, func, insert, make_url, select, text
from sqlalchemy.exc import DatabaseError

from aiprod.catalog import Catalog
from aiprod.errors import ConfigError, MoneyError, StorageError
from aiprod.ledger import gates, outbox, pg_programs
from aiprod.ledger.audit import audit
from aiprod.ledger.engine import REVISION, VERSION_TABLE, Ledger
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.schema import jobs, meta, purchases
from aiprod.models import Noun

__all__ = ["Backup", "Restored", "backup", "restore"]

_TAKEN_AT = "backup_taken_at"
_MAGIC = {b"SQLite format 3\0": "sqlite", b"PGDMP": "postgresql"}
_STOP = """
DELETE FROM {schema}.meta WHERE key = :'switch';
INSERT INTO {schema}.meta (key, value, changed_at, changed_by)
SELECT :'switch', 'restored from backup of '
    || coalesce((SELECT value FROM {schema}.meta WHERE key = :'taken_at'), 'an unknown time')
    || '; reconcile vendor usage first', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, :'by';
"""


class Backup(Noun):
    """A verified copy. `faults` are what the auditor found in it: the books were out of order when it was taken."""

    file: Path
    taken_at: datetime
    purchases: int
    faults: tuple[str, ...]


class Restored(Noun):
    """A ledger that was restored: why purchasing is stopped, and where the one before was kept."""

    stopped: str
    aside: str
    purchases: int
    faults: tuple[str, ...]


def backup(ledger: Ledger, file: Path, *, catalog: Catalog) -> Backup:
    """Copy the ledger to `file` (0600) as it is at one moment, while jobs run; verify the copy.

    Raises `StorageError` when the file is there already, or the copy is damaged; `ConfigError` without `pg_dump`.
    """
    ledger.check()
    if file.exists() or file.is_symlink():
        raise StorageError(f"{file} is already there; choose another name, nothing was overwritten")
    with _unfinished(file) as part:
        copy = _dump if ledger.engine.dialect.name == "postgresql" else _copy
        made = copy(ledger, part, catalog)
        with part.open("rb") as stream:
            os.fsync(stream.fileno())
        try:
            # A link refuses a name that somebody took in between.
            os.link(part, file)
        except FileExistsError:
            raise StorageError(f"{file} is already there; choose another name, nothing was overwritten") from None
    return made.model_copy(update={"file": file})


def restore(url: str, file: Path, *, catalog: Catalog, by: str, replace: bool = False) -> Restored:
    """Put a backup in the ledger's place, all at once, with purchasing stopped. What was there is kept aside.

    Raises `MoneyError` when the ledger holds anything, unless `replace`; `ConfigError` for another kind of file;
    `StorageError` for a damaged one. Until it returns without an error the ledger is as it was.
    """
    kind, place = _kind(file), make_url(url).get_backend_name()
    if kind != place:
        raise ConfigError(f"{file} is a backup of a {kind} ledger, and AIPROD_DATABASE_URL names a {place} one")
    ledger = Ledger(url)
    held = _holds(ledger)
    if held and not replace:
        raise MoneyError(f"the ledger at {ledger.where} holds {held}; with --yes it is kept aside and the backup takes its place")
    aside = _restore_postgres(ledger, file, by) if kind == "postgresql" else _restore_sqlite(ledger, file, by, bool(held))
    ledger.upgrade()
    with ledger.write() as conn:
        now = database_now(conn)
        why = gates.stopped(conn) or ""
        outbox.emit(conn, f"ledger_restored.{now.isoformat()}", "ledger_restored", now=now, why=why, by=by)
    with ledger.read() as conn:
        bought = int(conn.execute(select(func.count()).select_from(purchases)).scalar_one())
        faults = tuple(str(finding) for finding in audit(conn, catalog=catalog, now=database_now(conn)))
    return Restored(stopped=why, aside=aside, purchases=bought, faults=faults)


def _copy(ledger: Ledger, part: Path, catalog: Catalog) -> Backup:
    _copy_pages(_sqlite_file(ledger), part)
    _verify_pages(part)
    copy = Ledger(_sqlite_url(part))
    with copy.write() as conn:
        taken_at = database_now(conn)
        _mark(conn, taken_at)
    with copy.read() as conn:
        made = _looked_at(conn, part, taken_at, catalog)
    with closing(sqlite3.connect(part)) as raw:
        # One file, without a log beside it.
        raw.execute("PRAGMA journal_mode = DELETE")
    return made


def _dump(ledger: Ledger, part: Path, catalog: Catalog) -> Backup:
    with ledger.write() as conn:
        taken_at = database_now(conn)
        _mark(conn, taken_at)
    with ledger.read() as conn:
        conn.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        made = _looked_at(conn, part, taken_at, catalog)
        schema = conn.execute(text("SELECT current_schema()")).scalar_one()
        # What was audited is what is dumped, whatever happens meanwhile.
        snapshot = conn.execute(text("SELECT pg_export_snapshot()")).scalar_one()
        pg_programs.dump(ledger.url, part, schema=schema, snapshot=snapshot)
    return made


def _looked_at(conn: Connection, part: Path, taken_at: datetime, catalog: Catalog) -> Backup:
    return Backup(
        file=part,
        taken_at=taken_at,
        purchases=int(conn.execute(select(func.count()).select_from(purchases)).scalar_one()),
        faults=tuple(str(finding) for finding in audit(conn, catalog=catalog, now=taken_at)),
    )


def _restore_sqlite(ledger: Ledger, file: Path, by: str, held: bool) -> str:
    """Prepare the new ledger beside the old one, then put its pages in the old one's place as one transaction.

    Into the same file: processes that wait for its lock see the restored ledger, not a file without a name.
    """
    target = _sqlite_file(ledger)
    if not target.parent.is_dir():
        raise ConfigError(f"the folder {target.parent} does not exist")
    with _unfinished(target) as part:
        shutil.copyfile(file, part)
        _verify_pages(part)
        fresh = Ledger(_sqlite_url(part))
        _refuse_newer(file, _revision(fresh))
        fresh.upgrade()
        with fresh.write() as conn:
            now = database_now(conn)
            gates.open_purchasing(conn, by=by, now=now)
            taken_at = conn.execute(select(meta.c.value).where(meta.c.key == _TAKEN_AT)).scalar() or "an unknown time"
            gates.stop_purchasing(conn, f"restored from backup of {taken_at}; reconcile vendor usage first", by=by, now=now)
        aside = _set_aside(target, f"{now:%Y%m%dT%H%M%S%f}") if held else ""
        target.touch(mode=0o600)
        _copy_pages(part, target)
    return aside


def _set_aside(target: Path, stamp: str) -> str:
    """Copy the old ledger beside the new one; one that cannot be read is moved there as it is."""
    aside = target.with_name(f"{target.name}.before-{stamp}")
    aside.touch(mode=0o600, exist_ok=False)
    try:
        _copy_pages(target, aside)
    except sqlite3.DatabaseError:
        for suffix in ("", "-wal", "-shm"):
            if (old := Path(f"{target}{suffix}")).exists():
                old.replace(f"{aside}{suffix}")
    return str(aside)


def _restore_postgres(ledger: Ledger, file: Path, by: str) -> str:
    """Rename the old schema and fill a new one, with the switch in it, in one transaction."""
    with ledger.read() as conn:
        schema = str(conn.execute(text("SELECT current_schema()")).scalar_one())
        aside = f"{schema}_before_{database_now(conn):%Y%m%dt%H%M%S%f}"
    with tempfile.TemporaryDirectory(prefix="aiprod-restore-") as folder:
        before, filled, after = (Path(folder) / name for name in ("before.sql", "backup.sql", "after.sql"))
        before.write_text(f'ALTER SCHEMA "{schema}" RENAME TO "{aside}"; CREATE SCHEMA "{schema}";\n')
        pg_programs.as_script(file, filled, schema=schema)
        _refuse_newer(file, pg_programs.first_row(filled, VERSION_TABLE))
        after.write_text(_STOP.format(schema=f'"{schema}"'))
        values = {"switch": gates._SWITCH, "taken_at": _TAKEN_AT, "by": by}
        pg_programs.replay(ledger.url, (before, filled, after), values)
    return f"schema {aside}"


def _refuse_newer(file: Path, revision: str | None) -> None:
    if revision is None:
        raise ConfigError(f"{file} is no backup of a ledger")
    if revision > REVISION:
        raise ConfigError(
            f"{file} is at revision {revision}, this release knows {REVISION}: restore it with the release it is from"
        )


def _holds(ledger: Ledger) -> str:
    """What a restore would replace, in words; empty for nothing."""
    if ledger.engine.dialect.name == "sqlite" and not _sqlite_file(ledger).exists():
        return ""
    try:
        with ledger.read() as conn:
            known = int(conn.execute(select(func.count()).select_from(jobs)).scalar_one())
            return f"{known} jobs" if known else ""
    except DatabaseError:
        pass
    if ledger.engine.dialect.name == "sqlite":
        return "something that is no ledger of this release" if _sqlite_file(ledger).stat().st_size else ""
    with ledger.read() as conn:
        others = text("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()")
        return "tables that are no ledger of this release" if conn.execute(others).scalar_one() else ""


def _kind(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            head = stream.read(16)
    except OSError as error:
        raise StorageError(f"{file}: {error.strerror}") from None
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    raise ConfigError(f"{file} is no backup of a ledger")


def _revision(ledger: Ledger) -> str | None:
    try:
        with ledger.read() as conn:
            return conn.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - our own name
    except DatabaseError:
        return None


def _mark(conn: Connection, taken_at: datetime) -> None:
    conn.execute(delete(meta).where(meta.c.key == _TAKEN_AT))
    value = f"{taken_at:%Y-%m-%d %H:%M} UTC"
    conn.execute(insert(meta).values(key=_TAKEN_AT, value=value, changed_at=taken_at, changed_by="aiprod"))


@contextmanager
def _unfinished(file: Path) -> Iterator[Path]:
    """A private file beside `file`, gone at the end with whatever SQLite put next to it."""
    part = file.with_name(f".{file.name}.{uuid4().hex}.part")
    try:
        try:
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError as error:
            raise StorageError(f"{file} cannot be written: {error.strerror}") from None
        yield part
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(f"{part}{suffix}").unlink(missing_ok=True)


def _sqlite_file(ledger: Ledger) -> Path:
    return Path(make_url(ledger.url).database or "")


def _sqlite_url(file: Path) -> str:
    return URL.create("sqlite", database=str(file)).render_as_string()


def _copy_pages(source: Path, target: Path) -> None:
    """SQLite's online backup: one moment of the source, one transaction of the target."""
    with closing(sqlite3.connect(source, timeout=60)) as old, closing(sqlite3.connect(target, timeout=60)) as new:
        old.backup(new)


def _verify_pages(file: Path) -> None:
    try:
        with closing(sqlite3.connect(file)) as raw:
            said = [row[0] for row in raw.execute("PRAGMA integrity_check(3)")]
            orphans = raw.execute("PRAGMA foreign_key_check").fetchall()
    except sqlite3.DatabaseError as error:
        raise StorageError(f"the copy of the ledger is damaged: {error}") from None
    if said != ["ok"] or orphans:
        raise StorageError(f"the copy of the ledger is damaged: {'; '.join(said)}; {len(orphans)} rows refer to nothing")
