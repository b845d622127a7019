"""Measuring never raises, never believes the container, and never calls a whole file broken."""

from __future__ import annotations

import os

import av.logging
import numpy as np
import pytest

from aiprod.qa import judge, measure
from tests.aiprod.qa.specimens import moving, tone, turned, write


def codes(path, expected, thresholds):
    return {finding.code for finding in judge(measure(path), expected, thresholds)}


class TestWholeFiles:
    def test_a_clean_clip_is_measured_exactly(self, clean):
        seen = measure(clean)

        assert (seen.frames, seen.width, seen.height, seen.codec) == (48, 320, 180, "h264")
        assert seen.seconds == pytest.approx(2.0, abs=0.001)
        assert seen.fps == pytest.approx(24, abs=0.001)
        assert seen.aspect == pytest.approx(16 / 9, abs=0.001)
        assert len(seen.levels) == pytest.approx(40, abs=1)
        assert seen.readable and seen.complete and not seen.problem and not seen.truncation

    @pytest.mark.parametrize(
        ("name", "more"),
        [
            ("a.mp4", {}),
            ("a.mkv", {}),
            ("a.mov", {}),
            ("a.webm", {"codec": "libvpx-vp9"}),
            ("a.mp4", {"options": {"movflags": "frag_keyframe+empty_moov"}}),
        ],
    )
    def test_no_container_is_called_broken_for_what_it_is(self, clip, expected, thresholds, name, more):
        assert codes(clip(name, **more), expected, thresholds) == set()

    def test_frames_that_an_edit_list_hides_are_not_missing(self, clip, expected, thresholds):
        path = clip(pictures=moving(60), first=-12, options={"avoid_negative_ts": "disabled"})

        assert b"elst" in path.read_bytes()
        assert codes(path, expected, thresholds) == set()

    def test_millisecond_time_stamps_do_not_change_the_rate(self, tmp_path):
        path = write(tmp_path / "a.mkv", moving(60), fps=60)

        assert measure(path).fps == pytest.approx(60, rel=0.01)

    def test_a_picture_on_its_side_is_measured_as_it_is_shown(self, clip):
        seen = measure(turned(clip()))

        assert (seen.width, seen.height) == (180, 320)
        assert seen.aspect == pytest.approx(9 / 16, abs=0.001)

    @pytest.mark.parametrize("frames", [1, 2])
    def test_one_or_two_frames_are_a_clip_too(self, tmp_path, frames):
        seen = measure(write(tmp_path / "a.mp4", moving(frames)))

        assert seen.frames == frames
        assert (seen.still is None) == (frames == 1)

    def test_padding_after_the_last_box_is_not_a_cut(self, clean, tmp_path, expected, thresholds):
        for padding in (b"\0" * 100, b"\xff" * 100, b"abc"):
            path = tmp_path / "padded.mp4"
            path.write_bytes(clean.read_bytes() + padding)
            assert "truncated" not in codes(path, expected, thresholds)


class TestDamage:
    def test_what_only_the_reader_of_the_container_notices_is_counted(self, clip, tmp_path):
        whole, cut = clip("whole.mkv").read_bytes(), tmp_path / "cut.mkv"
        said = []
        for part in range(40, 60):
            cut.write_bytes(whole[: len(whole) * part // 100])
            said.append(measure(cut).first_stream_error)
        assert "File ended prematurely" in said


class TestMotion:
    def test_slow_but_steady_motion_is_not_frozen(self, tmp_path):
        texture = np.repeat(moving(1, width=4000)[0], 1, axis=0)
        pictures = [texture[:, i : i + 320] for i in range(48)]

        assert measure(write(tmp_path / "a.mp4", pictures)).frozen == ()

    def test_a_frozen_stretch_is_found_where_it_is(self, clip):
        pictures = moving(48)
        pictures[12:30] = [pictures[12]] * 18

        span = max(measure(clip(pictures=pictures)).frozen, key=lambda s: s.seconds)
        assert span.start == pytest.approx(0.5, abs=0.05)
        assert span.seconds == pytest.approx(17 / 24, abs=0.05)

    def test_black_is_not_also_frozen(self, clip):
        pictures = moving(48)
        pictures[12:30] = [np.full_like(pictures[0], 16)] * 18

        seen = measure(clip(pictures=pictures))
        assert seen.frozen == ()
        assert sum(span.seconds for span in seen.black) == pytest.approx(18 / 24, abs=0.05)


class TestSound:
    def test_levels_are_in_dbfs(self, clean):
        assert np.median(measure(clean).levels) == pytest.approx(20 * np.log10(0.2 / 2**0.5), abs=0.5)

    def test_a_clip_without_sound_says_so(self, tmp_path):
        seen = measure(write(tmp_path / "a.mp4", moving(12)))
        assert not seen.has_audio and seen.levels == ()


class TestHostileFiles:
    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"x",
            b"<html>502 Bad Gateway</html>" * 20,
            b'{"error": "no"}',
            np.random.default_rng(2).bytes(4096),
            b"\0\0\0\x18ftypmp42" + b"\0" * 64,
        ],
        ids=["empty", "one byte", "html", "json", "noise", "only a header"],
    )
    def test_what_is_no_video_is_unreadable(self, tmp_path, content):
        path = tmp_path / "take.mp4"
        path.write_bytes(content)

        seen = measure(path)
        assert not seen.readable and seen.problem

    def test_a_playlist_cannot_make_us_open_another_file(self, clean, tmp_path):
        path = tmp_path / "take.mp4"
        (tmp_path / "other.mp4").write_bytes(clean.read_bytes())
        for script in (
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nother.mp4\n#EXT-X-ENDLIST\n",
            "ffconcat version 1.0\nfile other.mp4\n",
        ):
            path.write_text(script)
            assert not measure(path).readable

    def test_a_missing_file_a_folder_and_a_pipe_are_unreadable(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")

        for path in (tmp_path / "none.mp4", tmp_path, tmp_path / "pipe"):
            seen = measure(path)
            assert not seen.readable and seen.problem

    def test_a_picture_too_large_for_memory_is_not_decoded(self, tmp_path):
        huge = write(tmp_path / "huge.avi", [np.zeros((6016, 6016), np.uint8)], codec="mjpeg")

        seen = measure(huge)
        assert not seen.readable and "6016x6016" in seen.problem

    def test_no_damage_makes_it_raise(self, tmp_path):
        small = write(tmp_path / "small.mp4", moving(12, 64, 64), tone(0.5)).read_bytes()
        noise, path = np.random.default_rng(1), tmp_path / "damaged.mp4"
        for _ in range(60):
            data = bytearray(small)
            for place in noise.integers(0, len(data), 12):
                data[place] = int(noise.integers(0, 256))
            path.write_bytes(bytes(data[: int(noise.integers(1, len(data) + 1))]))
            assert measure(path).size > 0

    def test_the_log_level_of_the_process_is_given_back(self, clean):
        before = av.logging.get_level()
        measure(clean)
        assert av.logging.get_level() == before
