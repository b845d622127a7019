"""Airflow's metadata database for a local instance: migrated once per Airflow version, then copied."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from tools.airflow_api import AirflowError
from tools.airflow_env import CHECKOUT

CONNECTION = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"


def provide(path: Path, env: Mapping[str, str]) -> None:
    """Make `path` a migrated database: leave it if it is, migrate it if it is old, copy the template if it is missing.

    `env` is the environment of the instance. Raises `AirflowError` with the end of Airflow's output.
    """
    template = _template(env)
    if not path.exists():
        shutil.copyfile(template, path)
    elif _revision(path) != _revision(template):
        _migrate(path, env)


def _template(env: Mapping[str, str]) -> Path:
    template = CHECKOUT / ".airflow" / "templates" / f"airflow-{version('apache-airflow-core')}.db"
    if not template.exists():
        template.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=template.parent) as folder:
            fresh = Path(folder) / "airflow.db"
            _migrate(fresh, env)
            with closing(sqlite3.connect(fresh)) as db:
                # One file, nothing left beside it. It stays in WAL mode: four components that each want to switch a new
                # file over at once are told "database is locked" without waiting.
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                db.execute("PRAGMA journal_mode=WAL")
            fresh.replace(template)
    return template


def _migrate(path: Path, env: Mapping[str, str]) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        env={**env, CONNECTION: f"sqlite:///{path}"},
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if told.returncode:
        raise AirflowError("Airflow could not make its database:\n" + "\n".join(told.stdout.splitlines()[-15:]))


def _revision(path: Path) -> str:
    with closing(sqlite3.connect(path)) as db:
        row = db.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else ""
