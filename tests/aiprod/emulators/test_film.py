"""The films: real, of the ordered shape, passing our own check, and each render's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiprod.catalog import catalog
from aiprod.emulators.film import Studio, corrupted, printed
from aiprod.emulators.renders import Film
from aiprod.qa.judge import Expected, judge
from aiprod.qa.measure import measure

WIDE = Film(seconds=2, width=320, height=180, fps=24, audio=True)


def findings(file: Path, content: bytes, film: Film) -> set[str]:
    file.write_bytes(content)
    expected = Expected(seconds=film.seconds, fps=film.fps, width=film.width, height=film.height, audio=film.audio)
    found = judge(measure(file), expected, catalog().quality)
    return {finding.code for finding in found if finding.severity in ("veto", "major")}


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path / "films")


@pytest.mark.parametrize("film", [WIDE, Film(seconds=1.5, width=720, height=1280, fps=30)], ids=["wide", "tall"])
def test_a_film_passes_our_own_check(studio: Studio, tmp_path: Path, film: Film) -> None:
    assert findings(tmp_path / "a.mp4", printed(studio.film(film), "r-1"), film) == set()


def test_every_render_has_bytes_of_its_own(studio: Studio) -> None:
    film = studio.film(WIDE)
    assert printed(film, "r-1") != printed(film, "r-2")
    assert b"r-1" in printed(film, "r-1")


def test_a_shape_is_drawn_once_and_kept_for_the_next_process(studio: Studio, tmp_path: Path) -> None:
    first = studio.film(WIDE)
    assert Studio(tmp_path / "films").film(WIDE) == first
    assert len(list((tmp_path / "films").iterdir())) == 1


def test_a_corrupted_film_is_noticed(studio: Studio, tmp_path: Path) -> None:
    assert "bitstream_errors" in findings(tmp_path / "a.mp4", corrupted(studio.film(WIDE)), WIDE)


def test_a_film_that_stands_still_is_noticed(studio: Studio, tmp_path: Path) -> None:
    film = studio.film(Film(seconds=2, width=320, height=180, still=True))
    assert findings(tmp_path / "a.mp4", film, Film(seconds=2, width=320, height=180))
