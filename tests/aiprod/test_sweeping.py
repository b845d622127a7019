"""What killed processes left behind goes after a day; what somebody works on, or keeps elsewhere, stays."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aiprod import settings, sweeping

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def piece(folder: str, name: str, age: timedelta) -> Path:
    """A folder with one file, both last written `age` ago."""
    path = settings.var_dir() / folder / name
    path.mkdir(parents=True)
    (path / "take.mp4").write_bytes(b"half")
    for each in (path / "take.mp4", path):
        written(each, age)
    return path


def written(path: Path, age: timedelta) -> None:
    then = (NOW - age).timestamp()
    os.utime(path, (then, then), follow_symlinks=False)


@pytest.mark.parametrize("folder", ["incoming", "scratch"])
def test_half_a_download_or_cut_goes_after_a_day(folder: str) -> None:
    old = piece(folder, "old", timedelta(days=1, seconds=1))
    fresh = piece(folder, "fresh", timedelta(hours=23))
    assert sweeping.sweep(now=NOW) == [old]
    assert not old.exists() and fresh.exists()


def test_an_old_folder_that_is_still_written_to_stays() -> None:
    path = piece("incoming", "slow", timedelta(days=3))
    written(path / "take.mp4", timedelta(minutes=1))
    assert sweeping.sweep(now=NOW) == []


def test_what_is_kept_elsewhere_is_never_touched() -> None:
    kept = [piece(folder, "old", timedelta(days=9)) for folder in ("storage", "animatic", "anything")]
    assert sweeping.sweep(now=NOW) == []
    assert all(path.exists() for path in kept)


def test_a_link_goes_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "film.mp4").touch()
    link = settings.var_dir() / "incoming" / "link"
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "precious")
    written(link, timedelta(days=9))
    (tmp_path / "precious").touch()
    sweeping.sweep(now=NOW + timedelta(days=400))
    assert not link.is_symlink() and (tmp_path / "precious" / "film.mp4").exists()


def test_without_a_folder_there_is_nothing_to_do() -> None:
    assert sweeping.sweep(now=NOW) == []
    assert not settings.var_dir().exists()


def test_what_cannot_be_deleted_is_logged_and_the_rest_goes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stuck, other = piece("incoming", "a", timedelta(days=2)), piece("incoming", "b", timedelta(days=2))
    remove = sweeping.shutil.rmtree

    def refuses(path: Path) -> None:
        if path == stuck:
            raise PermissionError(13, "no", str(path))
        remove(path)

    monkeypatch.setattr(sweeping.shutil, "rmtree", refuses)
    assert sweeping.sweep(now=NOW) == [other]
    assert str(stuck) in caplog.text
