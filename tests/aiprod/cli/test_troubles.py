"""Every trouble is one line and an exit code; an error that nobody meant is not hidden."""

from __future__ import annotations

import pytest

from aiprod.cli.troubles import lines_of, plain
from aiprod.errors import (
    AiprodError,
    ApiRefused,
    ApiUnreachable,
    ConfigError,
    JobFailed,
    JobMoved,
    JobUnknown,
    MoneyError,
    SpecError,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (JobUnknown("job x is not there"), 3),
        (ApiUnreachable("no server answers"), 3),
        (ApiRefused(404, "nothing here"), 3),
        (ApiRefused(403, "Forbidden"), 1),
        (JobMoved("version 2"), 1),
        (JobFailed("it failed"), 1),
        (MoneyError("no"), 1),
        (ConfigError("wrong"), 1),
    ],
)
def test_what_is_not_there_has_its_own_code(error: AiprodError, code: int) -> None:
    trouble = lines_of(error)
    assert trouble is not None and (trouble.lines, trouble.code) == ((str(error),), code)


def test_every_wrong_field_is_a_line() -> None:
    trouble = lines_of(SpecError(["a: wrong\nvery", "b: too"]))
    assert trouble is not None and trouble.lines == ("a: wrong very", "b: too")


def test_a_file_that_cannot_be_written_is_named() -> None:
    trouble = lines_of(PermissionError(13, "Permission denied", "/x"))
    assert trouble is not None and trouble.lines == ("/x: Permission denied",)


def test_a_bug_is_not_hidden() -> None:
    assert lines_of(KeyError("x")) is None


def test_a_text_cannot_move_the_cursor_or_turn_the_line() -> None:
    assert plain("a\x1b[2Jb\x9bc\u202ed\re\nf ü 猫") == "a�[2Jb�c�d�e\nf ü 猫"
