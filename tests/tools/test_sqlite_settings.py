"""Airflow on SQLite waits for its turn instead of giving up."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from tools.sqlite_settings import connect_args


def test_a_writer_waits_a_minute_for_another(tmp_path):
    with closing(sqlite3.connect(tmp_path / "a.db", **connect_args)) as db:
        assert db.execute("PRAGMA busy_timeout").fetchone() == (60_000,)


def test_it_syncs_at_checkpoints_only(tmp_path):
    with closing(sqlite3.connect(tmp_path / "a.db", **connect_args)) as db:
        assert db.execute("PRAGMA synchronous").fetchone() == (1,)
