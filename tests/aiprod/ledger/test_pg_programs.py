"""PostgreSQL's programs are found or missed in one line, and nobody sees a password."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiprod.errors import ConfigError, StorageError
from aiprod.ledger import pg_programs


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(folder: Path, name: str, body: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)


def test_a_program_that_is_missing_is_one_line_that_says_how_to_get_it(programs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pg_dump is not installed here: install .*postgresql-client"):
        pg_programs.dump("postgresql+psycopg://me@127.0.0.1/x", tmp_path / "f", schema="public", snapshot="1")


def test_what_a_program_complains_of_is_handed_on(programs: Path, tmp_path: Path) -> None:
    program(programs, "pg_restore", "echo 'input file is too short' >&2; exit 1")
    with pytest.raises(StorageError, match="pg_restore failed: input file is too short"):
        pg_programs.as_script(tmp_path / "f", tmp_path / "s", schema="public")


def test_a_password_stands_in_a_private_file_and_on_no_command_line(programs: Path, tmp_path: Path) -> None:
    note = tmp_path / "note"
    program(
        programs,
        "psql",
        f'for a; do echo "$a"; done > {note}; p=${{a##*passfile=}}; p=${{p%%&*}}; p=$(echo "$p" | /bin/sed "s/%2F/\\//g"); '
        f"/bin/cat $p >> {note}; /usr/bin/stat -c %a $p >> {note}",
    )
    pg_programs.replay("postgresql+psycopg://me:p%3Aa%5Css@127.0.0.1:5433/x?sslmode=require", [tmp_path / "s"], {"by": "Ada"})
    *said, secret, mode = note.read_text().splitlines()
    assert (secret, mode) == (r"*:*:*:*:p\:a\\ss", "600")
    assert not any("ss@" in line or "p:a" in line or "p%3Aa" in line for line in said)
    assert any(line.startswith("--dbname=postgresql://me@127.0.0.1:5433/x?") and "sslmode=require" in line for line in said)
    assert "--single-transaction" in said and "--set=ON_ERROR_STOP=1" in said


def test_the_first_row_of_a_table_is_found_in_a_script(tmp_path: Path) -> None:
    script = tmp_path / "s.sql"
    script.write_text("COPY public.a (x) FROM stdin;\n1\n\\.\nCOPY public.b (x) FROM stdin;\n\\.\n")
    assert [pg_programs.first_row(script, table) for table in ("a", "b", "c")] == ["1", None, None]
