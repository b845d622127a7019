"""A file is measured as a take would be, and the exit code says whether it could ship."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiprod.cli import main
from tests.shell import refused, said


def test_a_file_that_is_no_video_could_never_ship(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.mp4").write_bytes(b"no video")
    assert main(["qa", str(tmp_path / "x.mp4")]) == 1
    out, _ = said(capsys)
    assert "could never ship" in out and "veto" in out


@pytest.mark.parametrize(
    ("argv", "says"), [(["/nowhere/x.mp4"], "No such file"), (["/"], "is no file"), (["x", "--preset", "gold"], "no such preset")]
)
def test_what_cannot_be_measured_is_one_line(capsys: pytest.CaptureFixture[str], argv: list[str], says: str) -> None:
    assert main(["qa", *argv]) == 1
    assert says in refused(capsys)
