"""PostgreSQL's own programs, for backups: pg_dump, pg_restore and psql. Their password never stands on a command line."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, make_url

from aiprod.errors import ConfigError, StorageError

__all__ = ["as_script", "dump", "first_row", "replay"]

#: A dump of years of purchases takes longer than any transition.
_LONGEST_RUN = 3_600
_PLAIN = ("--no-owner", "--no-privileges")


def dump(url: str, file: Path, *, schema: str, snapshot: str) -> None:
    """Write one schema, as an open transaction sees it, to `file` in the custom format, and read its contents back."""
    options = ["--format=custom", *_PLAIN, f"--schema={schema}", f"--snapshot={snapshot}", f"--file={file}"]
    with _address(url) as address:
        _run("pg_dump", *options, f"--dbname={address}")
    _run("pg_restore", "--list", str(file))


def as_script(file: Path, script: Path, *, schema: str) -> None:
    """Write what would restore one schema of a dump as SQL."""
    _run("pg_restore", *_PLAIN, f"--schema={schema}", f"--file={script}", str(file))


def first_row(script: Path, table: str) -> str | None:
    """Return the first row that a script copies into a table, as it stands there."""
    with script.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("COPY ") and f".{table} (" in line:
                row = next(lines, "\\.").rstrip("\n")
                return None if row == "\\." else row
    return None


def replay(url: str, scripts: Sequence[Path], values: Mapping[str, str]) -> None:
    """Run scripts in one transaction: all of it happens, or nothing. `values` are psql variables."""
    sets = [f"--set={name}={value}" for name, value in {"ON_ERROR_STOP": "1", **values}.items()]
    files = [f"--file={script}" for script in scripts]
    with _address(url) as address:
        _run("psql", "--no-psqlrc", "--quiet", "--single-transaction", *sets, *files, f"--dbname={address}")


@contextmanager
def _address(url: str) -> Iterator[str]:
    """The database's address for PostgreSQL's own programs; its password in a private file, where `ps` does not show it."""
    known = make_url(url)
    with tempfile.TemporaryDirectory(prefix="aiprod-pg-") as folder:
        query = dict(known.query)
        if known.password is not None:
            secret = Path(folder) / "pass"
            secret.touch(mode=0o600)
            escaped = str(known.password).replace("\\", "\\\\").replace(":", "\\:")
            secret.write_text(f"*:*:*:*:{escaped}\n", encoding="utf-8")
            query["passfile"] = str(secret)
        yield URL.create("postgresql", known.username, None, known.host, known.port, known.database, query).render_as_string(
            hide_password=False
        )


def _run(program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs. Raises `ConfigError` where it is missing, `StorageError` with what it said."""
    if shutil.which(program) is None:
        raise ConfigError(
            f"{program} is not installed here: install PostgreSQL's client programs (Debian: postgresql-client), "
            "or run this where they are"
        )
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=_LONGEST_RUN, check=False)
    if done.returncode:
        said = next((line for line in done.stderr.splitlines() if line.strip()), "no reason given")
        raise StorageError(f"{program} failed: {said}")
