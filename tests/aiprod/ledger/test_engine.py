"""Opening, upgrading and checking a ledger; transactions that hold what they promise."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError

from aiprod.errors import ConfigError
from aiprod.ledger import Ledger, engine, gates, open_ledger
from aiprod.ledger.engine import REVISION, now
from tests.desk import NOW, race_of_processes


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


class TestCheck:
    def test_an_upgraded_ledger_passes(self, ledger):
        ledger.check()

    def test_a_ledger_of_another_revision_is_refused_with_both_revisions_and_the_way_out(self, ledger):
        with ledger.engine.begin() as conn:
            conn.execute(text("UPDATE ledger_alembic_version SET version_num = '0000'"))
        try:
            with pytest.raises(ConfigError, match=rf"revision 0000, this release needs {REVISION}; run `.* ledger upgrade`"):
                ledger.check()
        finally:
            with ledger.engine.begin() as conn:
                conn.execute(text(f"UPDATE ledger_alembic_version SET version_num = '{REVISION}'"))  # noqa: S608 - our own names

    @pytest.mark.postgres
    def test_an_empty_database_is_refused(self, empty_postgres):
        with pytest.raises(ConfigError, match="has no schema yet; run"):
            Ledger(empty_postgres).check()

    def test_an_empty_file_is_refused(self, tmp_path):
        (tmp_path / "empty.db").touch()
        with pytest.raises(ConfigError, match="has no schema yet; run"):
            Ledger(f"sqlite:///{tmp_path}/empty.db").check()

    def test_looking_for_a_ledger_that_is_not_there_creates_nothing(self, tmp_path):
        with pytest.raises(ConfigError, match="does not exist yet; run"):
            Ledger(f"sqlite:///{tmp_path}/none.db").check()
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.postgres
    def test_a_database_nobody_answers_for_is_a_clear_error_without_the_password(self):
        with pytest.raises(ConfigError, match="cannot be opened") as caught:
            Ledger("postgresql+psycopg://u:hunter2@127.0.0.1:1/x").check()
        assert "hunter2" not in str(caught.value)

    def test_opening_checks_and_opens_once_per_process(self, ledger_url, monkeypatch):
        monkeypatch.setenv("AIPROD_DATABASE_URL", ledger_url)
        assert open_ledger() is open_ledger()
        assert str(open_ledger().engine.url) == ledger_url


class TestUpgrade:
    def test_upgrading_again_changes_nothing(self, ledger):
        assert ledger.upgrade() == ledger.upgrade() == REVISION

    def test_processes_that_upgrade_at_once_all_find_an_upgraded_ledger(self, tmp_path):
        url = f"sqlite:///{tmp_path}/two.db"
        assert race_of_processes(3, lambda _: Ledger(url).upgrade()) == [REVISION] * 3

    @pytest.mark.postgres
    def test_processes_that_upgrade_at_once_all_find_an_upgraded_ledger_on_postgres(self, empty_postgres):
        assert race_of_processes(3, lambda _: Ledger(empty_postgres).upgrade()) == [REVISION] * 3

    def test_the_revision_a_ledger_is_checked_for_is_the_newest_migration(self):
        config = Config()
        config.set_main_option("script_location", str(Path(engine.__file__).parent / "migrations"))
        assert ScriptDirectory.from_config(config).get_current_head() == REVISION

    def test_a_sqlite_ledger_is_its_owners_only(self, tmp_path):
        Ledger(f"sqlite:///{tmp_path}/deep/ledger.db").upgrade()
        assert mode(tmp_path / "deep" / "ledger.db") == 0o600
        assert mode(tmp_path / "deep") == 0o700

    def test_its_write_ahead_log_is_too(self, tmp_path):
        ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
        ledger.upgrade()
        with ledger.write() as conn:
            gates.stop_purchasing(conn, "test", by="test", now=NOW)
            assert mode(tmp_path / "ledger.db-wal") == 0o600


class TestTransactions:
    def test_a_transaction_that_raises_leaves_nothing(self, ledger):
        with pytest.raises(ZeroDivisionError), ledger.write() as conn:  # noqa: PT012 - the transaction around the error is what is tested
            gates.stop_purchasing(conn, "test", by="test", now=NOW)
            raise ZeroDivisionError
        with ledger.read() as conn:
            assert gates.stopped(conn) is None

    def test_a_reader_sees_one_moment(self, ledger):
        with ledger.read() as reader:
            assert gates.stopped(reader) is None
            with ledger.write() as writer:
                gates.stop_purchasing(writer, "test", by="test", now=NOW)
            assert gates.stopped(reader) is None

    def test_a_reader_cannot_leave_a_change_behind(self, ledger):
        # Postgres refuses it, SQLite rolls it back.
        with suppress(DBAPIError), ledger.read() as conn:
            gates.stop_purchasing(conn, "test", by="test", now=NOW)
        with ledger.read() as conn:
            assert gates.stopped(conn) is None

    def test_sqlite_keeps_what_it_said_it_kept(self, sqlite_url):
        with Ledger(sqlite_url).read() as conn:
            settings = {
                name: conn.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("synchronous", "journal_mode", "foreign_keys")
            }
        assert settings == {"synchronous": 2, "journal_mode": "wal", "foreign_keys": 1}

    def test_sqlite_takes_the_write_lock_at_the_start(self, sqlite_url):
        first, second = Ledger(sqlite_url), Ledger(sqlite_url)
        with first.write(), pytest.raises(OperationalError, match="locked"), second.engine.connect() as conn:  # noqa: PT012 - the transaction around the error is what is tested
            conn.connection.driver_connection.execute("PRAGMA busy_timeout=0")
            conn.exec_driver_sql("SELECT 1")

    @pytest.mark.postgres
    def test_postgres_gives_up_on_a_lock_rather_than_hang(self, postgres_url):
        with Ledger(postgres_url).read() as conn:
            limits = {
                name: conn.exec_driver_sql(f"SHOW {name}").scalar()
                for name in ("lock_timeout", "statement_timeout", "synchronous_commit")
            }
        assert limits == {"lock_timeout": "2s", "statement_timeout": "5s", "synchronous_commit": "on"}


def test_the_clock_is_aware_and_in_utc(ledger):
    with ledger.read() as conn:
        seen = now(conn)
    assert seen.utcoffset() == timedelta(0)
    assert abs(seen - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.postgres
def test_the_clock_moves_within_a_transaction(postgres_url):
    with Ledger(postgres_url).read() as conn:
        assert now(conn) < now(conn)


def test_a_ledger_with_a_clock_of_its_own_asks_that_one(ledger_url):
    rehearsed = Ledger(ledger_url, clock=lambda: NOW.astimezone(timezone(timedelta(hours=5))))

    with rehearsed.read() as conn:
        assert (now(conn), now(conn).tzinfo) == (NOW, UTC)
    with rehearsed.write() as conn:
        assert now(conn) == NOW


def test_one_ledgers_clock_is_not_anothers(ledger_url):
    Ledger(ledger_url, clock=lambda: NOW)

    with Ledger(ledger_url).read() as conn:
        assert now(conn) != NOW
