"""A file can end the measuring process and never the one that asked."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from aiprod.errors import MeasuringInterrupted
from aiprod.qa import apart, measure, measure_apart
from tests.aiprod.qa.specimens import moving, tone, write


@pytest.fixture(autouse=True)
def _own_child():
    """Children of other tests are none of ours."""
    yield
    apart._drop()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write(tmp_path_factory.mktemp("apart") / "small.mp4", moving(12), tone(0.5))


def child() -> int:
    return apart._KEPT[0]._process.pid


def test_it_measures_the_same_as_here_and_keeps_its_child(small, tmp_path):
    assert measure_apart(small) == measure(small)
    first = child()
    assert not measure_apart(tmp_path / "none.mp4").readable
    assert child() == first


@pytest.mark.parametrize("name", [signal.SIGSEGV, signal.SIGXCPU, signal.SIGABRT])
def test_a_file_that_ends_the_child_is_unreadable(small, monkeypatch, name):
    measure_apart(small)
    os.kill(child(), name)
    seen = measure_apart(small)
    assert not seen.readable and name.name in seen.problem and seen.size == small.stat().st_size
    assert measure_apart(small).readable


def test_a_child_ended_from_outside_says_nothing_about_the_file(small):
    measure_apart(small)
    os.kill(child(), signal.SIGKILL)
    with pytest.raises(MeasuringInterrupted, match="SIGKILL"):
        measure_apart(small)
    assert measure_apart(small).readable


def test_a_child_that_does_not_answer_is_given_up(small):
    measure_apart(small)
    pid = child()
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(MeasuringInterrupted, match="too long"):
        measure_apart(small, wall_seconds=0.05)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_child_sees_no_environment_of_ours_and_no_stream(small, monkeypatch):
    monkeypatch.setenv("RUNWAYML_API_SECRET", "sk-never")
    measure_apart(small)
    with open(f"/proc/{child()}/environ", "rb") as environment:
        assert b"sk-never" not in environment.read()
    ours = {os.readlink(f"/proc/self/fd/{number}") for number in (0, 1, 2)}
    theirs = {os.readlink(f"/proc/{child()}/fd/{number}") for number in (0, 1, 2)}
    assert not (ours & theirs) - {"/dev/null"}


def test_its_memory_and_its_files_are_limited(small):
    measure_apart(small)
    limits = Path(f"/proc/{child()}/limits").read_text()
    assert f"{2 << 30}" in limits.split("Max address space")[1].splitlines()[0]
    assert limits.split("Max file size")[1].split()[0] == "0"


class TestHostileFiles:
    """Each is refused by what it says about itself, before anything is decoded."""

    def refused(self, path):
        """Refused for less than five seconds of CPU, by a child that lives on."""
        measure_apart(path.with_name("none.mp4"))
        first = child()
        seen = measure_apart(path)
        ticks = Path(f"/proc/{first}/stat").read_text().rpartition(")")[2].split()[11:13]
        assert child() == first and sum(map(int, ticks)) < 5 * os.sysconf("SC_CLK_TCK")
        assert not seen.readable or not seen.frames
        return seen.problem

    def test_thirty_thousand_by_thirty_thousand_pixels(self, tmp_path):
        film = bytearray(write(tmp_path / "huge.avi", moving(2, 64, 64), codec="mjpeg").read_bytes())
        side = (30_000).to_bytes(4, "little")
        at = film.index(b"strf") + 8
        film[at + 4 : at + 12] = side * 2
        for start in [match.start() for match in re.finditer(b"\xff\xc0\x00\x11\x08", film)]:
            film[start + 5 : start + 9] = (30_000).to_bytes(2, "big") * 2
        path = tmp_path / "huge.avi"
        path.write_bytes(film)
        self.refused(path)

    def test_ten_hours_in_a_few_kilobytes(self, tmp_path):
        path = write(tmp_path / "long.mp4", moving(1, 64, 36) * 360, fps=Fraction(1, 100))
        assert path.stat().st_size < 200_000
        assert "36,000 seconds" in self.refused(path)

    def test_ten_thousand_streams(self, tmp_path):
        film = write(tmp_path / "many.mp4", moving(2, 64, 36)).read_bytes()
        moov, track = film.index(b"moov") - 4, film.index(b"trak") - 4
        size = int.from_bytes(film[track : track + 4], "big")
        tracks = film[track : track + size] * 10_000
        whole = int.from_bytes(film[moov : moov + 4], "big") + len(tracks)
        path = tmp_path / "many.mp4"
        path.write_bytes(film[:moov] + whole.to_bytes(4, "big") + film[moov + 4 : track] + tracks + film[track:])
        self.refused(path)

    def test_a_playlist_that_calls_itself_a_film(self, small, tmp_path):
        path = tmp_path / "take.mp4"
        path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{small}\n#EXT-X-ENDLIST\n")
        self.refused(path)


def test_it_ends_when_nobody_asks_any_more():
    ended = subprocess.run(
        [sys.executable, "-m", "aiprod.qa.apart"], input=b"", env={"PYTHONPATH": ":".join(sys.path)}, timeout=60
    )
    assert ended.returncode == 0
