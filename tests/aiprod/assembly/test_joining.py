"""The finished video has every clip, in order, to the frame and to the sample."""

from __future__ import annotations

from itertools import pairwise

import av
import numpy as np
import pytest

from aiprod.assembly import Clip, Style, assemble
from aiprod.assembly.sound import loudness
from aiprod.catalog import catalog
from aiprod.errors import JobFailed, StorageError
from aiprod.qa import Expected, judge, measure
from tests.aiprod.assembly.cuttings import RATE, greys, heard, lumas, tone, write_clip


def join(into, *clips, width=160, height=90, fps=24, audio=False, **style):
    shots = [Clip(path=path, seconds=seconds) for path, seconds in clips]
    assemble(shots, into, width=width, height=height, fps=fps, audio=audio, style=Style(**style))
    return into


def bar(image):
    """Where the bright bar of a test clip is, in columns."""
    return float(np.flatnonzero(image[4] > 180).mean())


def packets(path):
    with av.open(str(path)) as film:
        return [bytes(packet) for packet in film.demux(video=0) if packet.size]


def stamps(path, kind):
    with av.open(str(path)) as film:
        return [packet.dts for packet in film.demux(**{kind: 0}) if packet.dts is not None]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out" / "video.mp4"


class TestPicture:
    def test_clips_come_in_order_and_no_frame_is_lost(self, clip, out):
        join(out, (clip("a.mp4", luma=60), 1), (clip("b.mp4", luma=180), 1), (clip("c.mp4", luma=110), 1))

        assert greys(out) == pytest.approx([60] * 24 + [180] * 24 + [110] * 24, abs=3)

    def test_equal_clips_that_need_no_cut_are_copied_not_encoded(self, clip, out):
        one, two = clip("a.mp4", luma=60), clip("b.mp4", luma=180)

        join(out, (one, 1), (two, 1))

        assert packets(out) == packets(one) + packets(two)

    def test_a_longer_clip_is_cut_to_the_frame(self, clip, out):
        join(out, (clip("a.mp4", frames=36, luma=60), 1), (clip("b.mp4", luma=180), 0.5))

        assert greys(out) == pytest.approx([60] * 24 + [180] * 12, abs=3)

    def test_every_frame_of_a_cut_clip_keeps_its_moment(self, clip, out):
        source = clip("a.mp4", frames=36)
        join(out, (source, 1))

        assert [bar(image) for image in lumas(out)] == pytest.approx([bar(image) for image in lumas(source)][:24], abs=1)

    def test_a_clip_that_is_a_little_short_holds_its_last_frame(self, clip, out):
        join(out, (clip("a.mp4", frames=22, luma=60), 1), (clip("b.mp4", luma=180), 1))

        assert greys(out) == pytest.approx([60] * 24 + [180] * 24, abs=3)

    def test_rounding_never_adds_up(self, clip, out):
        source = clip("a.mp4", frames=30)
        join(out, *[(source, 1.02)] * 5)

        assert len(greys(out)) == round(5 * 1.02 * 24)

    def test_other_sizes_rates_and_codecs_become_one(self, clip, out):
        join(
            out,
            (clip("a.mp4", frames=30, fps=30, luma=60), 1),
            (clip("b.mp4", luma=180, width=320, height=180), 1),
            (clip("c.mp4", luma=110, codec="mpeg4"), 1),
        )

        seen = measure(out)
        assert (seen.width, seen.height, seen.codec, seen.fps) == (160, 90, "h264", pytest.approx(24))
        assert greys(out) == pytest.approx([60] * 24 + [180] * 24 + [110] * 24, abs=4)

    def test_a_tall_clip_in_a_wide_video_gets_black_at_its_sides_only(self, clip, out):
        join(out, (clip("a.mp4", luma=180, width=90, height=160), 1))

        with av.open(str(out)) as film:
            image = next(film.decode(video=0)).to_ndarray(format="yuv420p")[:90]
        assert image[45, 80] > 170 and image[45, :50].max() < 24 and image[45, -50:].max() < 24
        assert image[85, 80] > 170

    def test_a_tall_video_of_tall_clips_has_no_bars(self, clip, out):
        join(out, (clip("a.mp4", luma=180, width=90, height=160, frames=30), 1), width=180, height=320)

        with av.open(str(out)) as film:
            frame = next(film.decode(video=0))
            image = frame.to_ndarray(format="yuv420p")[:320]
        assert (frame.width, frame.height) == (180, 320)
        assert image[100:].min() > 150

    def test_a_clip_filmed_on_its_side_stands_upright(self, tmp_path, out):
        path = write_clip(tmp_path / "a.mp4", luma=60, width=160, height=90)
        data = bytearray(path.read_bytes())
        at, one = data.index(b"tkhd") + 44, 1 << 16
        data[at : at + 36] = b"".join(n.to_bytes(4, "big", signed=True) for n in (0, one, 0, -one, 0, 0, 0, 0, 1 << 30))
        path.write_bytes(bytes(data))

        join(out, (path, 1), width=90, height=160)

        with av.open(str(out)) as film:
            frame = next(film.decode(video=0))
            image = frame.to_ndarray(format="yuv420p")[:160]
        # Its bright bar was at the upper left; turned clockwise that is the upper right.
        assert frame.rotation == 0
        assert image[:8, 76:].max() > 180 and image[:, :70].max() < 120 and image[20:].max() < 120


class TestSound:
    def test_sound_stays_with_its_picture_to_the_end(self, clip, out):
        beep = np.zeros(RATE, np.float32)
        beep[RATE * 8 // 10 : RATE * 9 // 10] = tone(0.1, 0.5)
        clips = [(clip(f"{n}.mp4", sound=beep, luma=60 + n), 1) for n in range(5)]

        join(out, *clips, audio=True)

        sound = np.abs(heard(out))
        assert len(greys(out)) == 120
        assert abs(len(sound) - 5 * RATE) <= RATE / 24
        for second in range(5):
            middle = second * RATE + RATE * 85 // 100
            assert sound[middle - 960 : middle + 960].max() > 0.1
            assert sound[second * RATE + RATE // 5 : second * RATE + RATE * 7 // 10].max() < 0.01
        loud = np.flatnonzero(sound > 0.05)
        assert loud[-1] / RATE == pytest.approx(4.9, abs=0.003)

    def test_a_clip_without_sound_is_silent_and_moves_nothing(self, clip, out):
        join(out, (clip("a.mp4", luma=60), 1), (clip("b.mp4", sound=tone(1)), 1), audio=True)

        sound = np.abs(heard(out))
        assert sound[: RATE * 95 // 100].max() < 0.01
        assert sound[RATE * 11 // 10 : RATE * 19 // 10].max() > 0.05

    def test_sound_is_cut_with_its_clip(self, clip, out):
        join(out, (clip("a.mp4", frames=48, sound=tone(2)), 1), (clip("b.mp4"), 1), audio=True)

        sound = np.abs(heard(out))
        assert sound[RATE // 2 : RATE * 9 // 10].max() > 0.05
        assert sound[RATE * 105 // 100 :].max() < 0.01

    @pytest.mark.parametrize("level", [0.02, 0.9])
    def test_a_programme_is_delivered_at_minus_14_lufs(self, clip, out, level):
        source = clip("a.mp4", frames=72, sound=tone(3, level))
        join(out, (source, 3), audio=True)

        sound = heard(out)
        assert loudness([np.stack([sound, sound]).astype(np.float32)]) == pytest.approx(-14, abs=0.7)
        assert packets(out) == packets(source)

    def test_peaks_are_held_below_full_scale(self, clip, out):
        knock = tone(6, 0.05)
        knock[RATE : RATE + RATE * 3 // 100] = tone(0.03, 0.5)
        join(out, (clip("a.mp4", frames=144, sound=knock), 6), audio=True)

        assert 0.7 < np.abs(heard(out)).max() < 0.92

    @pytest.mark.parametrize("level", [0.0, 0.0015])
    def test_what_is_meant_to_be_quiet_stays_quiet(self, clip, out, level):
        join(out, (clip("a.mp4", frames=48, sound=tone(2, level)), 2), audio=True)

        assert np.abs(heard(out)).max() < 0.003

    def test_without_sound_ordered_there_is_no_sound_stream(self, clip, out):
        join(out, (clip("a.mp4", sound=tone(1)), 1))
        assert not measure(out).has_audio


class TestFile:
    @pytest.mark.parametrize("seconds", [1, 0.75])
    def test_time_stamps_only_go_forward_and_the_index_comes_first(self, clip, out, seconds):
        join(out, *[(clip(f"{n}.mp4", sound=tone(1)), seconds) for n in range(3)], audio=True)

        for kind in ("video", "audio"):
            times = stamps(out, kind)
            assert all(later > earlier for earlier, later in pairwise(times))
        data = out.read_bytes()
        assert data.index(b"moov") < data.index(b"mdat")

    @pytest.mark.parametrize("seconds", [2, 1.5])
    def test_the_finished_video_passes_our_own_check(self, clip, out, seconds):
        join(out, *[(clip(f"{n}.mp4", frames=48, luma=60 + 40 * n, sound=tone(2)), seconds) for n in range(3)], audio=True)

        ordered = Expected(seconds=3 * seconds, fps=24, width=160, height=90, audio=True)
        # These clips are flat grey and cut together, which is told and does not weigh.
        assert not {"veto", "major"} & {f.severity for f in judge(measure(out), ordered, catalog().quality)}

    def test_a_clip_that_cannot_be_read_is_named_and_nothing_is_left(self, clip, out, tmp_path):
        broken = tmp_path / "broken.mp4"
        broken.write_text("<html>gone</html>")

        with pytest.raises(StorageError, match=r"broken\.mp4"):
            join(out, (clip("a.mp4"), 1), (broken, 1))
        assert list(out.parent.iterdir()) == []

    def test_a_failed_assembly_leaves_the_video_that_was_there(self, clip, out, tmp_path):
        join(out, (clip("a.mp4"), 1))
        before = out.read_bytes()

        with pytest.raises(StorageError):
            join(out, (tmp_path / "missing.mp4", 1))
        assert out.read_bytes() == before

    def test_nothing_cannot_be_assembled(self, out):
        with pytest.raises(JobFailed, match="no take"):
            join(out)


class TestDissolves:
    def test_a_dissolve_has_its_middle_where_the_cut_would_be_and_the_video_stays_as_long(self, clip, out):
        join(out, (clip("a.mp4", luma=60), 1), (clip("b.mp4", luma=180), 1), fade_seconds=0.5)

        found = greys(out)
        assert len(found) == 48
        assert found[:18] == pytest.approx([60] * 18, abs=3) and found[30:] == pytest.approx([180] * 18, abs=3)
        assert all(left < right for left, right in pairwise(found[18:30]))
        assert (found[23] + found[24]) / 2 == pytest.approx(120, abs=4)

    def test_what_a_take_has_beyond_its_end_is_shown_in_the_dissolve(self, clip, out):
        # Its surplus is lighter: held frames would not be.
        longer = clip("a.mp4", frames=36, luma=[60] * 24 + [140] * 12)
        join(out, (longer, 1), (clip("b.mp4", luma=60), 1), fade_seconds=0.5)

        assert max(greys(out)) > 85

    def test_a_dissolve_is_never_more_than_a_third_of_a_short_clip(self, clip, out):
        join(
            out,
            (clip("a.mp4", luma=60), 1),
            (clip("b.mp4", frames=6, luma=180), 0.25),
            (clip("c.mp4", luma=60), 1),
            fade_seconds=2,
        )

        found = greys(out)
        assert len(found) == 54 and max(found) == pytest.approx(180, abs=4)

    def test_sound_fades_out_and_in_with_the_picture(self, clip, out):
        one, two = clip("a.mp4", sound=tone(1)), clip("b.mp4", sound=tone(1))
        join(out, (one, 1), (two, 1), audio=True, fade_seconds=0.5, loudness=None)

        sound = heard(out)
        level = lambda at: np.abs(sound[round(at * RATE) : round((at + 0.05) * RATE)]).max()  # noqa: E731
        assert level(0.98) < 0.3 * level(0.5) and level(1.4) == pytest.approx(level(0.5), rel=0.1)


class TestContainers:
    def test_a_webm_holds_vp9_and_opus_and_every_frame(self, clip, tmp_path):
        into = tmp_path / "video.webm"
        join(into, (clip("a.mp4", luma=60, sound=tone(1)), 1), (clip("b.mp4", luma=180), 1), audio=True, container="webm")

        with av.open(str(into)) as film:
            assert (film.streams.video[0].codec_context.name, film.streams.audio[0].codec_context.name) == ("vp9", "opus")
        assert greys(into) == pytest.approx([60] * 24 + [180] * 24, abs=4)

    @pytest.mark.parametrize(("wanted", "off"), [(-23.0, 0.7), (-16.0, 0.7)])
    def test_another_loudness_can_be_wanted(self, clip, out, wanted, off):
        join(out, (clip("a.mp4", frames=96, sound=tone(4)), 4), audio=True, loudness=wanted)

        sound = heard(out)
        assert loudness([np.stack([sound, sound]).astype(np.float32)]) == pytest.approx(wanted, abs=off)
