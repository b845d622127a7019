"""Every defect is found, clean takes have none, and the verdict follows the preset."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aiprod.catalog import catalog
from aiprod.models import Finding, QAReport, Verdict
from aiprod.qa import Expected, Measurements, Span, judge, measure, report, verdict
from tests.aiprod.qa.specimens import moving, tone, write

BLACK = np.full((180, 320), 16, np.uint8)


def found(path, expected, thresholds):
    return {finding.code: finding.severity for finding in judge(measure(path), expected, thresholds)}


class TestDefectsInFiles:
    def test_a_clean_clip_has_no_finding(self, clean, expected, thresholds):
        assert found(clean, expected, thresholds) == {}

    def test_a_page_instead_of_a_video_is_unreadable(self, tmp_path, expected, thresholds):
        path = tmp_path / "take.mp4"
        path.write_text("<html>Service unavailable</html>" * 10)
        assert found(path, expected, thresholds) == {"unreadable": "veto"}

    @pytest.mark.parametrize("part", [0.6, 0.95])
    def test_a_file_that_ends_early_is_truncated(self, clean, tmp_path, expected, thresholds, part):
        path = tmp_path / "cut.mp4"
        path.write_bytes(clean.read_bytes()[: int(clean.stat().st_size * part)])
        assert found(path, expected, thresholds)["truncated"] == "veto"

    def test_a_file_whose_index_was_cut_off_is_truncated_and_unreadable(self, clip, expected, thresholds):
        path = clip()
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
        assert found(path, expected, thresholds) == {"truncated": "veto", "unreadable": "veto"}

    def test_sound_without_picture_has_no_frames(self, tmp_path, expected, thresholds):
        path = write(tmp_path / "sound.mp4", [], tone(2))
        assert found(path, expected, thresholds) == {"no_frames": "veto"}

    def test_a_hole_in_the_stream_is_a_bitstream_error(self, clean, tmp_path, expected, thresholds):
        data = bytearray(clean.read_bytes())
        start = data.index(b"mdat") + len(data) // 3
        data[start : start + 400] = np.random.default_rng(3).bytes(400)
        path = tmp_path / "hole.mp4"
        path.write_bytes(bytes(data))
        assert found(path, expected, thresholds)["bitstream_errors"] == "veto"

    @pytest.mark.parametrize(("frames", "wrong"), [(36, True), (60, True), (45, False), (51, False)])
    def test_another_length_is_found_and_a_few_frames_are_not(self, clip, expected, thresholds, frames, wrong):
        path = clip(pictures=moving(frames), sound=tone(frames / 24))
        assert found(path, expected, thresholds) == ({"duration": "major"} if wrong else {})

    def test_another_rate_is_found(self, clip, expected, thresholds):
        assert found(clip(pictures=moving(60), fps=30), expected, thresholds) == {"fps": "major"}

    def test_a_smaller_picture_is_found(self, clip, expected, thresholds):
        assert found(clip(pictures=moving(48, 256, 144)), expected, thresholds) == {"resolution": "major"}

    def test_another_shape_is_found(self, clip, expected, thresholds):
        assert found(clip(pictures=moving(48, 320, 240)), expected, thresholds) == {"aspect": "major"}

    def test_a_black_gap_is_found(self, clip, expected, thresholds):
        pictures = moving(48)
        pictures[20:32] = [BLACK] * 12
        assert found(clip(pictures=pictures), expected, thresholds) == {"black": "major"}

    def test_a_clip_that_is_mostly_black_is_vetoed(self, clip, expected, thresholds):
        pictures = [BLACK] * 44 + moving(4)
        assert found(clip(pictures=pictures), expected, thresholds)["mostly_black"] == "veto"

    @pytest.mark.parametrize("start", [15, 35])
    def test_a_freeze_is_found_in_the_middle_and_at_the_end(self, clip, expected, thresholds, start):
        pictures = moving(48)
        pictures[start : start + 13] = [pictures[start]] * len(pictures[start : start + 13])
        assert found(clip(pictures=pictures), expected, thresholds) == {"frozen": "major"}

    def test_one_image_for_two_seconds_is_static(self, clip, expected, thresholds):
        assert found(clip(pictures=moving(1) * 48), expected, thresholds) == {"static": "veto"}

    def test_missing_sound_is_found(self, tmp_path, expected, thresholds):
        path = write(tmp_path / "mute.mp4", moving(48))
        assert found(path, expected, thresholds) == {"audio_missing": "major"}

    def test_silence_is_found(self, clip, expected, thresholds):
        assert found(clip(sound=tone(2, level=0)), expected, thresholds) == {"audio_silent": "major"}

    def test_sound_that_stops_at_once_is_silence(self, clip, expected, thresholds):
        assert found(clip(sound=tone(0.15)), expected, thresholds) == {"audio_silent": "major"}

    def test_sound_that_nobody_ordered_may_be_missing_or_silent(self, clip, tmp_path, expected, thresholds):
        mute = expected.model_copy(update={"audio": False})
        assert found(write(tmp_path / "mute.mp4", moving(48)), mute, thresholds) == {}
        assert found(clip(sound=tone(2, level=0)), mute, thresholds) == {}


CLEAN = Measurements(
    size=9, readable=True, width=320, height=180, aspect=16 / 9, frames=48, seconds=2, fps=24, still=0.0, departure=(9.0, 90.0),
    drift=60.0, audio_seconds=2,
    has_audio=True, levels=(-20.0,) * 40,
)  # fmt: skip


class TestJudgingNumbers:
    def test_the_same_numbers_without_a_defect_have_no_finding(self, expected, thresholds):
        assert judge(CLEAN, expected, thresholds) == ()

    def test_a_still_with_grain_never_leaves_its_first_frame(self, expected, thresholds):
        still = CLEAN.model_copy(update={"still": 0.1, "departure": (0.9, 9.0)})
        assert [f.code for f in judge(still, expected, thresholds)] == ["static"]

    def test_a_static_clip_is_not_also_called_frozen(self, expected, thresholds):
        both = CLEAN.model_copy(update={"still": 0.9, "frozen": (Span(start=0, seconds=1.9),)})
        assert [f.code for f in judge(both, expected, thresholds)] == ["static"]

    def test_every_finding_carries_its_evidence(self, expected, thresholds):
        short = CLEAN.model_copy(update={"seconds": 1.0, "levels": (-20.0,) * 20})
        assert judge(short, expected, thresholds)[0].evidence == "It runs 1.00 s; 2 s were bought."


class TestReport:
    def test_a_clean_take_scores_one_and_says_that_nobody_looked_at_it(self, expected, thresholds):
        clean = report("t1", CLEAN, expected, thresholds, semantic_status="unscored")

        assert (clean.technical, clean.semantic, clean.quality, clean.semantic_status) == (1.0, None, None, "unscored")
        assert clean.thresholds == thresholds.version
        assert clean.measured["frames"] == 48 and clean.measured["silence_ratio"] == 0

    def test_two_defects_cost_more_than_one(self, expected, thresholds):
        one = CLEAN.model_copy(update={"fps": 30.0})
        two = one.model_copy(update={"width": 160, "height": 90})

        scores = [report("t", m, expected, thresholds, semantic_status="unscored").technical for m in (one, two)]
        assert scores == pytest.approx([thresholds.major_weight, thresholds.major_weight**2], abs=1e-4)

    def test_a_veto_leaves_nothing(self, expected, thresholds):
        broken = report("t", Measurements(problem="empty"), expected, thresholds, semantic_status="unscored")
        assert broken.technical == 0 and broken.vetoed

    def test_reports_of_anything_can_be_stored_as_json(self, tmp_path, expected, thresholds):
        stored = report("t", measure(tmp_path), expected, thresholds, semantic_status="unscored").model_dump_json()
        assert QAReport.model_validate_json(stored).technical == 0
        assert math.isfinite(QAReport.model_validate_json(stored).measured["seconds"])


def judged(*, technical=1.0, quality=None, findings=()):
    semantic = "unscored" if quality is None else "scored"
    return QAReport(
        take_id="t", technical=technical, quality=quality, semantic=quality, semantic_status=semantic, findings=findings
    )


class TestVerdict:
    @pytest.fixture
    def decide(self, thresholds):
        presets = catalog().presets

        def decide(report, *, preset="quick_social", embedded=False, floor=0.6):
            return verdict(report, embedded=embedded, preset=presets[preset], thresholds=thresholds, floor=floor)

        return decide

    def test_a_veto_is_rejected_even_where_the_score_is_fine(self, decide):
        vetoed = judged(findings=(Finding(code="static", severity="veto", evidence=""),))
        assert decide(vetoed) == decide(vetoed, embedded=True) == Verdict.REJECTED

    def test_below_the_technical_floor_is_rejected_and_on_it_is_not(self, decide, thresholds):
        assert decide(judged(technical=thresholds.technical_floor - 0.01), embedded=True) == Verdict.REJECTED
        assert decide(judged(technical=thresholds.technical_floor), embedded=True) == Verdict.ACCEPTED

    def test_an_unscored_take_ships_only_where_the_preset_says_so(self, decide):
        assert decide(judged()) == Verdict.ACCEPTED
        assert decide(judged(), preset="premium_spot") == Verdict.NEEDS_PERSON

    def test_a_preview_needs_no_score_anywhere(self, decide):
        assert decide(judged(), preset="premium_spot", embedded=True) == Verdict.ACCEPTED

    @pytest.mark.parametrize(("quality", "outcome"), [(0.69, Verdict.REJECTED), (0.7, Verdict.ACCEPTED)])
    def test_a_scored_take_is_held_to_the_floor_of_its_job(self, decide, quality, outcome):
        assert decide(judged(quality=quality), floor=0.7) == outcome


def test_what_was_bought_is_what_is_expected_not_what_was_asked():
    five_bought_as_six = Expected(seconds=6, fps=24, width=320, height=180, audio=False)
    six = CLEAN.model_copy(update={"seconds": 6.0, "frames": 144})
    assert judge(six, five_bought_as_six, catalog().quality) == ()
