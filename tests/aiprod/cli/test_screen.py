"""What is printed is whole lines for people, and JSON alone for programs."""

from __future__ import annotations

import json

import pytest

from aiprod.cli.screen import line, show_json, table
from tests.shell import said


def test_a_table_never_wraps_where_nobody_has_an_edge(capsys: pytest.CaptureFixture[str]) -> None:
    table(("name", "what"), [("a", "x" * 500), ("b", "y")], right=("name",))
    assert [row.split() for row in said(capsys)[0].splitlines()] == [["name", "what"], ["a", "x" * 500], ["b", "y"]]


def test_brackets_of_a_prompt_are_no_markup_and_escapes_no_commands(capsys: pytest.CaptureFixture[str]) -> None:
    table(("what",), [("[[runway=fail]] [red]x[/red] :smile: \x1b[31m",)])
    line("[[runway=fail]] \x1b[31m")
    assert said(capsys)[0].splitlines()[1:] == ["[[runway=fail]] [red]x[/red] :smile: �[31m", "[[runway=fail]] �[31m"]


def test_json_is_all_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    show_json({"a": "\x1b é"})
    assert json.loads(said(capsys)[0]) == {"a": "\x1b é"}
