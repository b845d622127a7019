"""Every finding has a sentence, a severity, and an order that allows what it wants."""

from __future__ import annotations

import re

import pytest

from aiprod.catalog import Quality, catalog
from aiprod.qa import Measurements, Span, judge
from aiprod.qa.checks import ALLOWED
from tests.aiprod.qa.test_judge import CLEAN

HALF = (Span(start=0.5, seconds=0.5),)

#: One measurement per finding that crosses its line.
WRONG: dict[str, dict] = {
    "truncated": {"truncation": "box 'mdat' ends early"},
    "unreadable": {"readable": False, "problem": "no"},
    "no_frames": {"frames": 0, "problem": "no"},
    "bitstream_errors": {"stream_errors": 1, "first_stream_error": "x"},
    "missing_frames": {"lost": 2},
    "incomplete": {"complete": False},
    "duration": {"seconds": 1.0, "levels": (-20.0,) * 20, "audio_seconds": 1.0},
    "fps": {"fps": 30.0},
    "resolution": {"width": 160, "height": 90},
    "aspect": {"aspect": 1.0},
    "pixel_aspect": {"pixel_aspect": 1.33},
    "black": {"black": HALF},
    "mostly_black": {"black": (Span(start=0, seconds=1.9),)},
    "blank": {"blank": HALF},
    "static": {"still": 0.95},
    "frozen": {"frozen": HALF},
    "stuck": {"stuck": 0.5, "stuck_at": HALF},
    "duplicates": {"repeats": 0.5, "repeated": HALF},
    "stutter": {"lone_repeats": 5, "repeated": HALF},
    "glitch": {"glitches": HALF},
    "torn": {"torn": 0.2, "torn_at": HALF},
    "flicker": {"flicker": 2.0, "flicker_at": HALF},
    "flashing": {"flashes": 4.0, "flashes_at": HALF},
    "letterbox": {"bars": (0.1, 0.1, 0.0, 0.0)},
    "pillarbox": {"bars": (0.0, 0.0, 0.1, 0.1)},
    "colour_lost": {"greyed": HALF},
    "colour_step": {"colour_steps": (1.0,)},
    "cut": {"cuts": (1.0,)},
    "jump": {"jumps": (1.0,)},
    "blurry": {"sharpness": 0.1},
    "blocky": {"blocks": 3.0},
    "noisy": {"noise": 9.0},
    "banding": {"comb": 0.9},
    "no_colour": {"colour": 0.1},
    "dark": {"highlights": 20.0},
    "bright": {"brightness": 230.0},
    "flat": {"contrast": 5.0},
    "audio_missing": {"has_audio": False, "levels": ()},
    "audio_silent": {"levels": (-90.0,) * 40},
    "audio_short": {"levels": (-20.0,) * 25, "audio_seconds": 1.25},
    "audio_gap": {"levels": (-20.0,) * 10 + (-90.0,) * 22 + (-20.0,) * 8},
    "audio_dropout": {"dropouts": HALF},
    "dead_channel": {"channels": (-20.0, -120.0)},
    "audio_clipped": {"clipped": 0.1},
    "audio_loud": {"lufs": 0.0},
}


def measured(code):
    return CLEAN.model_copy(update=WRONG[code])


def test_every_finding_that_has_a_severity_is_made_here(thresholds):
    assert set(WRONG) == set(thresholds.severities)


@pytest.mark.parametrize("code", WRONG)
def test_each_number_over_its_line_is_told_alone_in_one_sentence(code, expected, thresholds):
    (finding,) = judge(measured(code), expected, thresholds)
    assert (finding.code, finding.severity) == (code, thresholds.severities[code])
    assert re.fullmatch(r"[A-Z0-9].{12,}", finding.evidence)


@pytest.mark.parametrize(
    "code", ["black", "frozen", "stuck", "glitch", "flicker", "flashing", "cut", "audio_dropout", "audio_gap"]
)
def test_what_happens_somewhere_says_where_and_how_much(code, expected, thresholds):
    (finding,) = judge(measured(code), expected, thresholds)
    assert finding.when and finding.measured is not None
    assert all(0 <= start <= end <= 2 for start, end in finding.when)


@pytest.mark.parametrize(("word", "code"), [(word, code) for word, codes in ALLOWED.items() for code in codes])
def test_what_an_order_wants_is_told_and_weighs_nothing(word, code, expected, thresholds):
    wanted = expected.model_copy(update={"allows": (word,)})
    assert [(f.code, f.severity) for f in judge(measured(code), wanted, thresholds)] == [(code, "info")]


def test_nothing_allows_what_can_hurt_people_or_a_broken_file():
    never = {"flashing", "truncated", "unreadable", "no_frames", "bitstream_errors", "missing_frames"}
    assert never.isdisjoint(code for codes in ALLOWED.values() for code in codes)


def test_where_a_freeze_ends_the_picture_catches_up_and_that_is_no_cut(expected, thresholds):
    both = CLEAN.model_copy(update={"frozen": HALF, "cuts": (1.0,), "torn": 0.3, "torn_at": (Span(start=1.0, seconds=0.04),)})
    assert [f.code for f in judge(both, expected, thresholds)] == ["frozen"]


def test_frames_of_uneven_length_may_keep_either_rate(expected, thresholds):
    uneven = CLEAN.model_copy(update={"fps": 30.0, "mean_fps": 24.0})
    assert judge(uneven, expected, thresholds) == ()


class TestPresets:
    def test_a_preset_weighs_findings_its_own_way(self, expected):
        quality = catalog().quality
        (social,), (premium,) = (judge(measured("jump"), expected, quality.of(name)) for name in ("quick_social", "premium_spot"))
        assert (social.severity, premium.severity) == ("minor", "major")

    def test_a_preset_without_rules_has_those_of_all(self):
        quality = catalog().quality
        assert quality.of("brand_campaign").severities == quality.severities

    @pytest.mark.parametrize(
        "change", [{"no_such_threshold": 1}, {"severities": {"no_such_finding": "major"}}, {"noise_codes": "x"}]
    )
    def test_a_rule_that_means_nothing_is_refused(self, change):
        with pytest.raises(ValueError, match=r"no_such|noise_codes"):
            Quality.model_validate({**catalog().quality.model_dump(), "presets": {"quick_social": change}})


def test_numbers_that_were_never_measured_are_no_finding(expected, thresholds):
    unknown = CLEAN.model_copy(update=dict.fromkeys(("sharpness", "blocks", "noise", "comb", "colour", "contrast", "lufs")))
    assert judge(unknown, expected, thresholds) == ()
    assert [f.code for f in judge(Measurements(problem="empty"), expected, thresholds)] == ["unreadable"]
