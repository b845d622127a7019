"""How Airflow's metadata database is opened when it is SQLite; Airflow imports these two names."""

from __future__ import annotations

import sqlite3
from typing import Any


class PatientConnection(sqlite3.Connection):
    """A connection that syncs at checkpoints only, which WAL (Airflow's own choice) makes safe against a crash."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("PRAGMA synchronous=NORMAL")


# With SQLite's 5 s, three runs of twenty tasks ended scheduler, triggerer and DAG processor with "database is locked".
connect_args: dict[str, Any] = {"timeout": 60, "factory": PatientConnection}
connect_args_async: dict[str, Any] = {"timeout": 60, "factory": PatientConnection}
