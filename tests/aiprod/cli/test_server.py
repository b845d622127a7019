"""Which server is asked and as whom: the flags first, then the environment, and nothing secret on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiprod.cli import main
from tests.api import TOKEN, Reply, Server, view
from tests.shell import refused, said

JOB = view().model_dump(mode="json")


def test_flags_stand_before_the_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.says("GET", "/aiprod/job/job-1", JOB)
    monkeypatch.setenv("AIPROD_API_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AIPROD_API_TOKEN", "old")
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert main(["--api", server.url, "--token-file", str(tmp_path / "token"), "job", "job-1"]) == 0
    assert "job-1" in said(capsys)[0]


def test_a_named_user_is_logged_in_whatever_token_lies_around(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.says("POST", "/auth/token", Reply(201, {"access_token": TOKEN}))
    server.says("GET", "/aiprod/job/job-1", JOB)
    monkeypatch.setenv("AIPROD_API_TOKEN", "another person's")
    monkeypatch.setenv("AIPROD_API_PASSWORD", "hunter2")
    assert main(["--user", "ann", "job", "job-1"]) == 0
    assert server.to("POST", "/auth/token")[0].body == {"username": "ann", "password": "hunter2"}
    assert "hunter2" not in "".join(said(capsys))


@pytest.mark.parametrize("argv", [["approve", "x", "--yes"], ["watch", "x"], ["redo", "x", "--shot", "1"], ["download", "x"]])
def test_what_needs_a_server_says_which_to_name(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    assert main(argv) == 3
    assert "set AIPROD_API_URL" in refused(capsys)


@pytest.mark.parametrize("argv", [["job", "x"], ["jobs"], ["watch", "x"], ["cancel", "x"], ["backends"]])
def test_a_server_that_is_not_there_is_one_line_and_its_own_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    monkeypatch.setattr("aiprod.client_wire.PAUSES", ())
    monkeypatch.setattr("aiprod.client_watch._PAUSE", 0.0)
    monkeypatch.setenv("AIPROD_API_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AIPROD_API_TOKEN", TOKEN)
    assert main(argv) == 3
    assert "no server answers at http://127.0.0.1:1" in refused(capsys)


def test_a_token_file_that_is_not_there_is_one_line(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--token-file", "/nowhere/token", "job", "x"]) == 1
    assert "--token-file /nowhere/token: No such file" in refused(capsys)
    assert server.asked == []


def test_a_refused_token_is_never_printed(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIPROD_API_TOKEN", "CANARY-wrong")
    assert main(["job", "x"]) == 1
    assert "CANARY" not in refused(capsys)
