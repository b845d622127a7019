"""docs/cli.md says what the commands say."""

from __future__ import annotations

from aiprod.cli.commands import COMMANDS
from tools import cli_docs


def test_the_page_is_current() -> None:
    assert cli_docs.PAGE.read_text(encoding="utf-8") == cli_docs.page(), "run `python -m tools.cli_docs`"


def test_every_command_and_every_call_of_the_client_is_on_it() -> None:
    page = cli_docs.page()
    assert all(f"## `aiprod {name}`" in page for name in COMMANDS)
    assert all(f"`{call}(" in page for call in ("create", "watch", "approve", "redo", "download"))


def test_a_page_that_is_not_is_said(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr(cli_docs, "PAGE", tmp_path / "cli.md")
    assert cli_docs.main(["--check"]) == 1
    assert "out of date" in capsys.readouterr().out
    assert [cli_docs.main([]), cli_docs.main(["--check"])] == [0, 0]
