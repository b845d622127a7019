"""A private Postgres 15 for the tests: own data folder, own socket, a free loopback port, fsync on, gone at the end."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import psycopg

INSTALL = "PostgreSQL is not installed; `apt-get install postgresql` brings it"
_USER = "aiprod"
_ROOM = 2**30
_CANDIDATES = (Path("/usr/lib/postgresql/15/bin"), *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))


def binaries() -> Path | None:
    """Where `initdb` and `pg_ctl` are, or None."""
    for folder in _CANDIDATES:
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


class PrivatePostgres:
    """One server, started by the constructor. `database` makes a new, empty database.

    Its files are in memory where there is room, or in a new folder below `folder`.
    """

    def __init__(self, bin_dir: Path, folder: Path | None = None) -> None:
        self._bin = bin_dir
        self._names = count(1)
        # A short path: a socket's may be 107 characters long, and pytest's folders are longer.
        self.folder = Path(tempfile.mkdtemp(prefix="aiprod-pg-", dir=folder or _roomy_memory()))
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        self.port = _free_port()
        self._run("initdb", "-D", f"{self.folder}/data", "-U", _USER, "-A", "trust", "-E", "UTF8", "--no-locale")
        self._ctl(
            "start", "-o", f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c max_connections=120 -c fsync=on"
        )

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://{_USER}@127.0.0.1:{self.port}/{name}"

    def database(self) -> str:
        """Make a database and return its name."""
        name = f"db{next(self._names)}"
        with self.connect("postgres") as conn:
            conn.execute(f"CREATE DATABASE {name}".encode())
        return name

    def clear(self, name: str) -> None:
        """Delete every row of a ledger, journal included: far quicker than another copy of the database."""
        with self.connect(name) as conn:
            tables = [row[0] for row in conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
            deletes = "".join(f"DELETE FROM {table};" for table in tables if not table.endswith("alembic_version"))  # noqa: S608 - our own names
            # `replica` switches off foreign keys and the trigger that protects the journal, for this session only.
            conn.execute(f"SET session_replication_role = replica; BEGIN; {deletes} COMMIT".encode())

    def stop(self) -> None:
        self._ctl("stop", "-m", "immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def connect(self, name: str) -> psycopg.Connection[tuple[str, ...]]:
        """A session outside any ledger; every statement is its own transaction."""
        return psycopg.connect(host="127.0.0.1", port=self.port, user=_USER, dbname=name, autocommit=True)

    def _ctl(self, verb: str, *options: str) -> None:
        self._run("pg_ctl", verb, "-w", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log", *options)

    def _run(self, program: str, *arguments: str) -> None:
        # Postgres refuses to run as root.
        as_owner: Sequence[str] = (
            ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups") if os.geteuid() == 0 else ()
        )
        command = [*as_owner, str(self._bin / program), *arguments]
        done = subprocess.run(command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            log = self.folder / "log"
            raise RuntimeError(f"{program} failed: {done.stderr}{log.read_text() if log.exists() else ''}")


def _roomy_memory() -> str | None:
    """A folder in memory where there is room: fsync stays on, and costs nothing there."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made inside
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > _ROOM else None


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
