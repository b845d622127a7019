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
_CANDIDATES = (Path("/usr/lib/postgresql/15/bin"), *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))


def binaries() -> Path | None:
    """Where `initdb` and `pg_ctl` are, or None."""
    for folder in _CANDIDATES:
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


class PrivatePostgres:
    """One server, started by the constructor. `database` makes a new database, empty or a copy of another."""

    def __init__(self, bin_dir: Path) -> None:
        self._bin = bin_dir
        self._names = count(1)
        # A short path: a socket's may be 107 characters long, and pytest's folders are longer.
        self.folder = Path(tempfile.mkdtemp(prefix="aiprod-pg-"))
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        self.port = _free_port()
        self._run("initdb", "-D", f"{self.folder}/data", "-U", _USER, "-A", "trust", "-E", "UTF8", "--no-locale")
        self._ctl(
            "start", "-o", f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c max_connections=120 -c fsync=on"
        )

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://{_USER}@127.0.0.1:{self.port}/{name}"

    def database(self, *, like: str = "template1") -> str:
        """Make a database and return its name."""
        name = f"db{next(self._names)}"
        self._sql(f"CREATE DATABASE {name} TEMPLATE {like}")
        return name

    def drop(self, name: str) -> None:
        self._sql(f"DROP DATABASE {name} WITH (FORCE)")

    def stop(self) -> None:
        self._ctl("stop", "-m", "immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _sql(self, statement: str) -> None:
        with psycopg.connect(host="127.0.0.1", port=self.port, user=_USER, dbname="postgres", autocommit=True) as conn:
            conn.execute(statement.encode())

    def _ctl(self, verb: str, *options: str) -> None:
        self._run("pg_ctl", verb, "-w", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log", *options)

    def _run(self, program: str, *arguments: str) -> None:
        # Postgres refuses to run as root.
        as_owner: Sequence[str] = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups") if os.geteuid() == 0 else ()
        command = [*as_owner, str(self._bin / program), *arguments]
        done = subprocess.run(command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            log = self.folder / "log"
            raise RuntimeError(f"{program} failed: {done.stderr}{log.read_text() if log.exists() else ''}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
