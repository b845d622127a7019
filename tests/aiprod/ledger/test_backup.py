"""A backup is whole and verified; a restored ledger buys nothing until a person says so."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from aiprod.errors import ConfigError, JobFailed, MoneyError, StorageError
from aiprod.ledger import Ledger, gates, jobs
from aiprod.ledger.backup import Restored, backup, restore
from aiprod.ledger.engine import REVISION
from aiprod.ledger.engine import now as database_now
from tests.auditor import audit
from tests.market import Market
from tests.postgres import PrivatePostgres


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A ledger of its own: a restore moves more than rows."""
    if request.param == "sqlite":
        return str(request.getfixturevalue("sqlite_url"))
    server: PrivatePostgres = request.getfixturevalue("postgres_server")
    address = server.url(server.database())
    Ledger(address).upgrade()
    return address


@pytest.fixture
def shop(url: str, open_market: Callable[[Ledger, str], Market]) -> Iterator[Market]:
    ledger = Ledger(url)
    yield open_market(ledger, "ListingVendor")
    with ledger.read() as conn:
        assert audit(conn) == []


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.backup"


def restored(market: Market, file: Path, *, replace: bool = True) -> Restored:
    return restore(market.ledger.url, file, catalog=market.catalog, by="Ada", replace=replace)


def known(market: Market) -> list[str]:
    with market.ledger.read() as conn:
        return [row[0] for row in conn.execute(text("SELECT job_id FROM jobs ORDER BY job_id"))]


class TestBackup:
    def test_it_is_verified_private_and_one_file(self, shop: Market, file: Path) -> None:
        shop.bought()
        made = backup(shop.ledger, file, catalog=shop.catalog)
        assert (made.file, made.purchases, made.faults) == (file, 1, ())
        assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
        assert [path.name for path in file.parent.iterdir() if "backup" in path.name] == [file.name]

    def test_it_never_overwrites(self, shop: Market, file: Path) -> None:
        file.write_text("precious")
        with pytest.raises(StorageError, match="already there"):
            backup(shop.ledger, file, catalog=shop.catalog)
        assert file.read_text() == "precious"

    def test_a_folder_that_is_not_there_is_said(self, shop: Market, file: Path) -> None:
        with pytest.raises(StorageError, match="cannot be written: No such file or directory"):
            backup(shop.ledger, file.parent / "absent" / "x", catalog=shop.catalog)

    def test_books_out_of_order_are_copied_and_named(self, shop: Market, file: Path) -> None:
        shop.routed()
        shop.sql("UPDATE caps SET reserved = reserved + 1 WHERE kind = 'job'")
        made = backup(shop.ledger, file, catalog=shop.catalog)
        shop.sql("UPDATE caps SET reserved = reserved - 1 WHERE kind = 'job'")
        assert [line[:2] for line in made.faults] == ["I2"] and file.exists()

    def test_it_is_one_moment_while_others_write(self, shop: Market, file: Path) -> None:
        shop.bought()
        stop, wrote = threading.Event(), []

        def keep_writing() -> None:
            while not stop.is_set():
                wrote.append(shop.routed(job_id=f"busy-{len(wrote)}"))

        writer = threading.Thread(target=keep_writing)
        writer.start()
        try:
            while not wrote:
                pass
            made = [backup(shop.ledger, file.with_suffix(f".{n}"), catalog=shop.catalog) for n in range(3)]
        finally:
            stop.set()
            writer.join()
        assert [each.faults for each in made] == [(), (), ()]


class TestRestore:
    def test_what_was_bought_after_the_backup_is_unknown_and_nothing_is_bought_until_a_person_opens(
        self, shop: Market, file: Path
    ) -> None:
        shop.bought(job_id="before")
        made = backup(shop.ledger, file, catalog=shop.catalog)
        shop.bought(job_id="after")
        done = restored(shop, file)

        assert known(shop) == ["before"]
        assert done.stopped == f"restored from backup of {made.taken_at:%Y-%m-%d %H:%M} UTC; reconcile vendor usage first"
        shop.approved(job_id="after")
        with pytest.raises(JobFailed, match="purchasing is stopped: restored from backup of"):
            shop.pipeline.route(["after"], 1)
        assert shop.purchases("after") == []

        with shop.ledger.write() as conn:
            gates.open_purchasing(conn, by="Ada", now=database_now(conn))
        assert shop.pipeline.route(["after"], 1) == ["runway"]

    def test_what_was_held_in_the_backup_is_not_sent_either(self, shop: Market, file: Path) -> None:
        shop.routed()
        backup(shop.ledger, file, catalog=shop.catalog)
        restored(shop, file)
        assert "purchasing is stopped" in shop.render().failed[0]
        assert shop.accepts() == []

    def test_a_reason_that_stood_in_the_backup_does_not_hide_that_it_was_restored(self, shop: Market, file: Path) -> None:
        shop.stop()
        backup(shop.ledger, file, catalog=shop.catalog)
        assert restored(shop, file).stopped.startswith("restored from backup of")

    def test_a_ledger_that_holds_jobs_is_left_alone_without_a_yes(self, shop: Market, file: Path) -> None:
        shop.order(job_id="one")
        backup(shop.ledger, file, catalog=shop.catalog)
        shop.order(job_id="two")
        with pytest.raises(MoneyError, match="holds 2 jobs; with --yes"):
            restored(shop, file, replace=False)
        assert known(shop) == ["one", "two"]
        with shop.ledger.read() as conn:
            assert gates.stopped(conn) is None

    def test_what_was_there_is_kept_aside(self, shop: Market, file: Path) -> None:
        backup(shop.ledger, file, catalog=shop.catalog)
        shop.order(job_id="lost")
        aside = restored(shop, file).aside
        if shop.ledger.engine.dialect.name == "sqlite":
            assert stat.S_IMODE(os.stat(aside).st_mode) == 0o600
            with sqlite3.connect(aside) as old:
                kept = old.execute("SELECT job_id FROM jobs").fetchall()
            old.close()
        else:
            with shop.ledger.read() as conn:
                kept = conn.execute(text(f"SELECT job_id FROM {aside.removeprefix('schema ')}.jobs")).all()  # noqa: S608
        assert [row[0] for row in kept] == ["lost"]
        assert known(shop) == []

    def test_an_empty_ledger_needs_no_yes(self, shop: Market, file: Path) -> None:
        backup(shop.ledger, file, catalog=shop.catalog)
        assert restored(shop, file, replace=False).stopped.startswith("restored from backup of")

    def test_half_a_backup_is_refused_and_nothing_changes(self, shop: Market, file: Path) -> None:
        shop.bought(job_id="one")
        backup(shop.ledger, file, catalog=shop.catalog)
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        with pytest.raises(StorageError):
            restored(shop, file)
        assert known(shop) == ["one"]
        with shop.ledger.read() as conn:
            assert gates.stopped(conn) is None

    def test_twice_is_as_good_as_once(self, shop: Market, file: Path) -> None:
        shop.order(job_id="one")
        backup(shop.ledger, file, catalog=shop.catalog)
        assert [restored(shop, file).purchases, known(shop)] == [0, ["one"]]
        again = file.with_suffix(".again")
        backup(shop.ledger, again, catalog=shop.catalog)
        assert known(shop) == ["one"]

    def test_it_is_told(self, shop: Market, file: Path) -> None:
        backup(shop.ledger, file, catalog=shop.catalog)
        restored(shop, file)
        with shop.ledger.read() as conn:
            topics = set(conn.execute(text("SELECT topic FROM outbox")).scalars())
        assert {"ledger_restored"} <= topics

    def test_the_journal_of_a_restored_ledger_is_append_only_again(self, shop: Market, file: Path) -> None:
        shop.routed()
        backup(shop.ledger, file, catalog=shop.catalog)
        restored(shop, file)
        with pytest.raises(Exception, match="append-only"):
            shop.sql("DELETE FROM postings")

    def test_a_newer_releases_backup_is_refused_and_nothing_changes(self, shop: Market, file: Path) -> None:
        shop.order(job_id="one")
        shop.sql("UPDATE ledger_alembic_version SET version_num = '9999'")
        with pytest.raises(ConfigError, match="revision 9999"):
            backup(shop.ledger, file, catalog=shop.catalog)
        shop.sql("UPDATE ledger_alembic_version SET version_num = :revision", revision=REVISION)
        backup(shop.ledger, file, catalog=shop.catalog)
        if shop.ledger.engine.dialect.name == "sqlite":
            with sqlite3.connect(file) as raw:
                raw.execute("UPDATE ledger_alembic_version SET version_num = '9999'")
            raw.close()
            with pytest.raises(ConfigError, match="9999, this release knows"):
                restored(shop, file)
        assert known(shop) == ["one"]


class TestFiles:
    """What is the same on every database is tried on SQLite."""

    def test_a_damaged_backup_is_refused_and_the_ledger_stays(self, local_market: Market, file: Path) -> None:
        for n in range(30):
            local_market.order(job_id=f"job-{n}")
        backup(local_market.ledger, file, catalog=local_market.catalog)
        damaged = bytearray(file.read_bytes())
        damaged[4096 * 3 : 4096 * 12] = b"\xff" * 4096 * 9
        file.write_bytes(damaged)
        with pytest.raises(StorageError, match="damaged"):
            restored(local_market, file)
        assert len(known(local_market)) == 30

    @pytest.mark.parametrize("content", [b"", b"prompt: a lake\n"])
    def test_what_is_no_backup_is_refused(self, local_market: Market, file: Path, content: bytes) -> None:
        file.write_bytes(content)
        with pytest.raises(ConfigError, match="is no backup of a ledger"):
            restored(local_market, file)

    def test_some_other_database_is_no_backup(self, local_market: Market, file: Path) -> None:
        with sqlite3.connect(file) as other:
            other.execute("CREATE TABLE recipes (name TEXT)")
        other.close()
        with pytest.raises(ConfigError, match="is no backup of a ledger"):
            restored(local_market, file)

    def test_a_missing_file_is_said(self, local_market: Market, file: Path) -> None:
        with pytest.raises(StorageError, match="No such file"):
            restored(local_market, file)

    def test_a_backup_of_the_other_kind_is_refused(self, local_market: Market, file: Path) -> None:
        file.write_bytes(b"PGDMP" + b"\0" * 100)
        with pytest.raises(ConfigError, match="backup of a postgresql ledger, and AIPROD_DATABASE_URL names a sqlite one"):
            restored(local_market, file)

    def test_a_ledger_that_cannot_be_read_any_more_is_moved_aside(self, local_market: Market, file: Path) -> None:
        local_market.order(job_id="one")
        backup(local_market.ledger, file, catalog=local_market.catalog)
        broken = Path(local_market.ledger.engine.url.database or "")
        local_market.ledger.engine.dispose()
        for leftover in broken.parent.glob(f"{broken.name}-*"):
            leftover.unlink()
        broken.write_bytes(b"no database" * 1000)
        with pytest.raises(MoneyError, match="no ledger of this release"):
            restored(local_market, file, replace=False)
        aside = restored(local_market, file).aside
        assert Path(aside).read_bytes().startswith(b"no database")
        assert known(local_market) == ["one"]

    def test_a_ledger_that_is_gone_is_made_anew_for_its_owner_only(
        self, local_market: Market, file: Path, tmp_path: Path
    ) -> None:
        local_market.order(job_id="one")
        backup(local_market.ledger, file, catalog=local_market.catalog)
        fresh = tmp_path / "fresh.db"
        restore(f"sqlite:///{fresh}", file, catalog=local_market.catalog, by="Ada")
        assert stat.S_IMODE(os.stat(fresh).st_mode) == 0o600
        with Ledger(f"sqlite:///{fresh}").read() as conn:
            assert jobs.known(conn, "one")

    def test_a_process_that_has_the_ledger_open_sees_the_restored_one(self, local_market: Market, file: Path) -> None:
        backup(local_market.ledger, file, catalog=local_market.catalog)
        local_market.order(job_id="lost")
        with local_market.ledger.engine.connect() as holder:
            assert holder.exec_driver_sql("SELECT count(*) FROM jobs").scalar() == 1
            holder.rollback()
            restored(local_market, file)
            assert holder.exec_driver_sql("SELECT count(*) FROM jobs").scalar() == 0
