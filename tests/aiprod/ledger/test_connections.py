"""Connections are not inherited, not kept to a file that was replaced, and not given up because a database is full."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from aiprod.ledger import Ledger, gates
from tests.desk import NOW, race_of_processes


@pytest.mark.postgres
def test_a_login_that_finds_no_room_is_tried_again_and_another_refusal_is_not(postgres_url, monkeypatch):
    real, answers = psycopg.connect, ["sorry, too many clients already", "password authentication failed"]

    def login(*arguments, **options):
        if answers:
            raise psycopg.OperationalError(answers.pop(0))
        return real(*arguments, **options)

    ledger = Ledger(postgres_url)
    monkeypatch.setattr(ledger.engine.dialect, "connect", login)
    with pytest.raises(OperationalError, match="password"), ledger.read():
        pass
    assert answers == []


def test_a_file_that_was_replaced_is_opened_anew(sqlite_url, tmp_path):
    """A restored backup: who went on writing to the old file would lose what it wrote."""
    ledger, file = Ledger(sqlite_url), Path(sqlite_url.removeprefix("sqlite:///"))
    with ledger.write() as conn:
        gates.stop_purchasing(conn, "before", by="test", now=NOW)
    backup = tmp_path / "backup.db"
    Ledger(f"sqlite:///{backup}").upgrade()
    os.replace(backup, file)
    for log in ("-wal", "-shm"):
        Path(f"{file}{log}").unlink()
    with ledger.read() as conn:
        assert gates.stopped(conn) is None


def test_a_child_inherits_no_open_ledger(sqlite_url):
    """SQLite's locks are lost in a fork while its memory says that they are held."""
    ledger = Ledger(sqlite_url)
    with ledger.read() as conn:
        gates.stopped(conn)
    assert ledger.engine.pool.checkedin() == 1
    assert race_of_processes(2, lambda _: ledger.engine.pool.checkedin()) == [0, 0]
