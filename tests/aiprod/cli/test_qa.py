"""A file is measured as a take would be, and the exit code says whether it could ship."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiprod.cli import main
from aiprod.emulators.film import Film, Studio
from tests.shell import refused, said


def test_a_file_that_is_no_video_could_never_ship(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.mp4").write_bytes(b"no video")
    assert main(["qa", str(tmp_path / "x.mp4")]) == 1
    out, _ = said(capsys)
    assert "could never ship" in out and "veto" in out
    assert main(["qa", str(tmp_path / "x.mp4"), "--json"]) == 1
    assert json.loads(said(capsys)[0])["passes"] is False


def test_a_preview_may_ship(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "film.mp4").write_bytes(Studio(tmp_path / "studio").film(Film(seconds=1, width=640, height=360, audio=True)))
    assert main(["qa", str(tmp_path / "film.mp4")]) == 0
    assert "may ship" in said(capsys)[0]


@pytest.mark.parametrize(
    ("argv", "says"),
    [(["/nowhere/x.mp4"], "no such file"), (["/"], "no such file"), (["x", "--preset", "gold"], "'gold' is unknown")],
)
def test_what_cannot_be_measured_is_one_line(capsys: pytest.CaptureFixture[str], argv: list[str], says: str) -> None:
    assert main(["qa", *argv]) == 1
    assert says in refused(capsys)
