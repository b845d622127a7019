"""A command that is written down has a name on it."""

from __future__ import annotations

import os
import pwd

import pytest
import typer
from typer.testing import CliRunner

from aiprod.cli.person import By


def by(*argv: str, code: int = 0) -> str:
    app = typer.Typer()

    @app.command()
    def say(*, by: By) -> None:
        print(by, end="")

    done = CliRunner().invoke(app, list(argv))
    assert done.exit_code == code
    return done.stdout


def test_without_a_name_it_is_the_user_of_the_shell() -> None:
    assert by() == pwd.getpwuid(os.getuid()).pw_name


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 987_654)
    assert by() == "uid 987654"


def test_the_environment_cannot_say_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, "the-boss")
    assert by() != "the-boss"


def test_a_name_is_one_line() -> None:
    assert by("--by", " ann \n of accounts ") == "ann of accounts"
    by("--by", "  ", code=2)
