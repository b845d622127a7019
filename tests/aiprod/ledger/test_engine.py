"""Opening, upgrading and checking a ledger; transactions that hold what they promise."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import psycopg
import pytest
from alembic.command import upgrade
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError, OperationalError

from aiprod.errors import ConfigError, OtherRevision
from aiprod.ledger import Ledger, engine, gates, open_ledger, purchases, schema
from aiprod.ledger.audit import audit as auditor
from aiprod.ledger.engine import REVISION, now
from aiprod.ledger.states import Step
from aiprod.models import USD
from tests.desk import LEASE, NOW, Desk, race_of_processes


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


class TestCheck:
    def test_an_upgraded_ledger_passes(self, ledger):
        ledger.check()

    def test_a_ledger_of_another_revision_is_refused_with_both_revisions_and_the_way_out(self, ledger):
        with ledger.engine.begin() as conn:
            conn.execute(text("UPDATE ledger_alembic_version SET version_num = '0000'"))
        try:
            with pytest.raises(OtherRevision, match=rf"revision 0000, this release needs {REVISION}; run `.* ledger upgrade`"):
                ledger.check()
        finally:
            with ledger.engine.begin() as conn:
                conn.execute(text(f"UPDATE ledger_alembic_version SET version_num = '{REVISION}'"))  # noqa: S608 - our own names

    def test_a_newer_releases_ledger_is_refused_by_an_older_release_and_never_migrated(self, ledger):
        """A worker that still runs the old release, and whoever starts the old one again."""
        with ledger.engine.begin() as conn:
            conn.execute(text("UPDATE ledger_alembic_version SET version_num = '9999'"))
        try:
            for ask in (ledger.check, ledger.upgrade):
                with pytest.raises(OtherRevision, match=rf"at revision 9999, newer than .* needs {REVISION}; start the newer"):
                    ask()
        finally:
            with ledger.engine.begin() as conn:
                found = conn.execute(text("SELECT version_num FROM ledger_alembic_version")).scalar()
                conn.execute(text(f"UPDATE ledger_alembic_version SET version_num = '{REVISION}'"))  # noqa: S608 - our own names
        assert found == "9999"

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


class TestAddress:
    @pytest.mark.parametrize(
        "url",
        [
            "postgresql+psycopg://u:hunter2@db:port/x",
            "postgresql+nodriver://u:hunter2@db/x",
            "oracle9://u:hunter2@db/x",
            "mysql+pymysql://u:hunter2@db/x",
            "hunter2",
            "",
        ],
    )
    def test_one_that_cannot_be_used_is_one_line_without_its_password(self, url):
        with pytest.raises(ConfigError, match="AIPROD_DATABASE_URL cannot be used") as caught:
            Ledger(url)
        assert "hunter2" not in str(caught.value) and "\n" not in str(caught.value)


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

    def test_a_sqlite_ledger_is_its_owners_only(self, monkeypatch, tmp_path):
        monkeypatch.setenv("AIPROD_VAR_DIR", f"{tmp_path}/deep/var")
        Ledger(f"sqlite:///{tmp_path}/deep/var/ledger.db").upgrade()
        assert mode(tmp_path / "deep" / "var" / "ledger.db") == 0o600
        assert mode(tmp_path / "deep" / "var") == 0o700

    def test_a_slip_in_the_address_makes_no_folder(self, tmp_path):
        with pytest.raises(ConfigError, match="of the ledger does not exist; make it, or correct AIPROD_DATABASE_URL"):
            Ledger(f"sqlite:///{tmp_path}/vra/ledger.db").upgrade()
        assert list(tmp_path.iterdir()) == []

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


class TestTransact:
    @staticmethod
    def trouble(code):
        error = sqlite3.OperationalError("database is locked") if code is None else psycopg.OperationalError(code)
        if code is None:
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        else:
            error.sqlstate = code
        return OperationalError("", {}, error)

    @pytest.mark.parametrize("code", [None, "40001", "40P01", "55P03", "57014"])
    def test_what_met_others_at_work_is_run_again_from_its_start(self, ledger, code):
        troubles = [self.trouble(code), self.trouble(code)]

        def work(conn):
            gates.stop_purchasing(conn, f"try {len(troubles)}", by="test", now=NOW)
            if troubles:
                raise troubles.pop()
            return gates.stopped(conn)

        assert ledger.transact(work) == "try 0"

    @pytest.mark.parametrize("error", [trouble.__func__("42P01"), ZeroDivisionError()], ids=["SQL", "its own"])
    def test_anything_else_is_raised_at_once_and_leaves_nothing(self, ledger, error):
        tried = []

        def work(conn):
            tried.append(1)
            gates.stop_purchasing(conn, "test", by="test", now=NOW)
            raise error

        with pytest.raises(type(error)):
            ledger.transact(work)
        with ledger.read() as conn:
            assert (gates.stopped(conn), len(tried)) == (None, 1)


def test_the_clock_is_aware_and_in_utc(ledger):
    with ledger.read() as conn:
        seen = now(conn)
    assert seen.utcoffset() == timedelta(0)
    assert abs(seen - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.postgres
def test_the_clock_moves_within_a_transaction(postgres_url):
    with Ledger(postgres_url).read() as conn:
        assert now(conn) < now(conn)


def _old(url):
    """A ledger of the first release: revision 0001."""
    made, config = Ledger(url), Config()
    config.set_main_option("script_location", str(Path(engine.__file__).parent / "migrations"))
    with made.engine.begin() as conn:
        config.attributes["connection"] = conn
        upgrade(config, "0001")
    return made


def _moved(source, target):
    """Copy what both revisions know; a serial goes on behind what was copied."""
    with source.read() as old, target.write() as conn:
        inspector = inspect(conn)
        for table in schema.metadata.sorted_tables:
            if not inspector.has_table(table.name):
                continue
            names = ", ".join(column["name"] for column in inspector.get_columns(table.name))
            found = [dict(row) for row in old.execute(text(f"SELECT {names} FROM {table.name}")).mappings()]  # noqa: S608
            if found:
                values = ", ".join(f":{name}" for name in found[0])
                conn.execute(text(f"INSERT INTO {table.name} ({names}) VALUES ({values})"), found)  # noqa: S608
            serial = next((c.name for c in table.primary_key if c.autoincrement is True), None)
            if serial and conn.dialect.name == "postgresql":
                behind = f"(SELECT coalesce(max({serial}), 0) + 1 FROM {table.name})"  # noqa: S608
                conn.execute(text(f"SELECT setval(pg_get_serial_sequence('{table.name}', '{serial}'), {behind}, false)"))


class TestRunsInFlight:
    """A release that brings a migration meets purchases in every state, and workers of the release before."""

    @pytest.fixture
    def first(self, request, desk, tmp_path):
        """A ledger at 0001 with a purchase in every state, as the first release left it."""
        with desk.in_one_transaction():
            envelope = desk.order()
            for shot, state in enumerate(schema.STATES, start=1):
                desk.bring(desk.hold(envelope, shot=shot).purchase_id, state)
        on_postgres = desk.ledger.engine.dialect.name == "postgresql"
        url = request.getfixturevalue("empty_postgres") if on_postgres else f"sqlite:///{tmp_path}/first.db"
        old = _old(url)
        _moved(desk.ledger, old)
        return Desk(Ledger(url), desk.catalog, dict(desk.envelopes))

    def test_a_new_worker_refuses_an_older_ledger(self, first):
        with pytest.raises(ConfigError, match=f"is at revision 0001, this release needs {REVISION}; run"):
            first.ledger.check()

    def test_after_the_migration_the_books_are_in_order_and_every_purchase_goes_on(self, first):
        before = first.rows("purchases", "postings", "legs", "jobs", "approvals", "outbox")
        assert first.ledger.upgrade() == REVISION
        first.ledger.check()
        after = first.rows("purchases", "postings", "legs", "jobs", "approvals", "outbox")
        # What is new is empty, and all that was there is there.
        new = {"purchases": {"retry_at": None, "account": None}, "jobs": {"created_by": None}}
        assert after == before | {table: [row | columns for row in before[table]] for table, columns in new.items()}
        assert first.audit() == []
        with first.ledger.read() as conn:
            assert auditor(conn, catalog=first.catalog, now=NOW + LEASE) == []
            ids = {p.state: p.purchase_id for p in purchases.of_job(conn, "job-1", 1)}
        first.claim(ids["held"])
        first.accept(ids["held"])
        first.accept(ids["unknown"])
        for state in ("held", "unknown", "submitted"):
            first.close(ids[state], Step.SUCCEED, charge=5 * USD)
        first.hold(first.envelopes["job-1", 1], shot=99)
        assert first.audit() == []


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
