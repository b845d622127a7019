"""Poster and contact sheet show the right moments, in the right shape."""

from __future__ import annotations

import cv2
import pytest

from aiprod.assembly import Clip, assemble, contact_sheet, poster
from aiprod.errors import StorageError
from tests.aiprod.assembly.cuttings import write_clip


@pytest.fixture
def film(tmp_path):
    """Three seconds, each of another grey: 60, 120, 180."""
    clips = [Clip(path=write_clip(tmp_path / f"{luma}.mp4", luma=luma), seconds=1) for luma in (60, 120, 180)]
    assemble(clips, tmp_path / "film.mp4", width=160, height=90, fps=24, audio=False)
    return tmp_path / "film.mp4"


def grey(luma):
    return (luma - 16) * 255 / 219


def test_the_poster_is_the_frame_at_one_third_in_full_size(film, tmp_path):
    poster(film, tmp_path / "new" / "poster.jpg")

    image = cv2.imread(str(tmp_path / "new" / "poster.jpg"))
    assert image.shape == (90, 160, 3)
    assert image[45, 80].mean() == pytest.approx(grey(120), abs=4)


def test_the_sheet_shows_the_whole_video_in_order(film, tmp_path):
    contact_sheet(film, tmp_path / "sheet.jpg", columns=3, rows=1)

    sheet = cv2.imread(str(tmp_path / "sheet.jpg"))
    assert sheet.shape == (12 + 180 + 26 + 12, 12 + 3 * (320 + 12), 3)
    centres = [sheet[12 + 120, 12 + 160 + 332 * n].mean() for n in range(3)]
    assert centres == pytest.approx([grey(60), grey(120), grey(180)], abs=4)
    assert (sheet[194:214, 12:80].max(axis=2) > 120).any(), "the time code is missing"


def test_a_tall_video_has_a_sheet_of_tall_pictures(tmp_path):
    path = write_clip(tmp_path / "tall.mp4", luma=180, width=90, height=160)

    contact_sheet(path, tmp_path / "sheet.jpg")

    sheet = cv2.imread(str(tmp_path / "sheet.jpg"))
    assert sheet.shape == (3 * (320 + 26) + 4 * 12, 4 * (180 + 12) + 12, 3)
    for row in range(3):
        for column in range(4):
            assert sheet[12 + 200 + row * 358, 12 + 90 + column * 192].mean() == pytest.approx(grey(180), abs=4)


def test_one_frame_is_enough_for_both(tmp_path):
    path = write_clip(tmp_path / "one.mp4", frames=1)
    poster(path, tmp_path / "poster.jpg")
    contact_sheet(path, tmp_path / "sheet.jpg")
    assert (tmp_path / "poster.jpg").stat().st_size and (tmp_path / "sheet.jpg").stat().st_size


def test_a_long_video_is_sought_and_shows_the_same_moments(tmp_path):
    clips = [Clip(path=write_clip(tmp_path / f"{luma}.mp4", luma=luma, frames=40, fps=2), seconds=20) for luma in (60, 120, 180)]
    assemble(clips, tmp_path / "long.mp4", width=160, height=90, fps=2, audio=False)

    contact_sheet(tmp_path / "long.mp4", tmp_path / "sheet.jpg", columns=3, rows=1)

    sheet = cv2.imread(str(tmp_path / "sheet.jpg"))
    centres = [sheet[12 + 120, 12 + 160 + 332 * n].mean() for n in range(3)]
    assert centres == pytest.approx([grey(60), grey(120), grey(180)], abs=4)


def test_what_is_no_video_has_no_pictures(tmp_path):
    (tmp_path / "x.mp4").write_text("no video")
    for draw in (poster, contact_sheet):
        with pytest.raises(StorageError, match=r"x\.mp4"):
            draw(tmp_path / "x.mp4", tmp_path / "x.jpg")
    assert not (tmp_path / "x.jpg").exists()
