"""Sound is judged only where it was bought, and silence is told alone."""

from __future__ import annotations

import pytest

from aiprod.qa import judge
from aiprod.qa.sound_checks import silent_part
from tests.aiprod.qa.test_checks import WRONG, measured
from tests.aiprod.qa.test_judge import CLEAN


@pytest.mark.parametrize("code", [code for code in WRONG if "audio" in code or code == "dead_channel"])
def test_sound_that_nobody_bought_is_not_judged(code, expected, thresholds):
    assert judge(measured(code), expected.model_copy(update={"audio": False}), thresholds) == ()


def test_sound_shorter_than_the_picture_is_silent_for_the_rest(thresholds):
    assert silent_part(CLEAN.model_copy(update={"levels": (-20.0,) * 20}), thresholds) == pytest.approx(0.5)


def test_sound_that_starts_late_is_short_too(expected, thresholds):
    late = CLEAN.model_copy(update={"audio_start": 0.6, "audio_seconds": 1.4, "levels": (-20.0,) * 28})
    (finding,) = judge(late, expected, thresholds)
    assert (finding.code, finding.when) == ("audio_short", ((0.0, 0.6),))


def test_a_dropout_inside_a_gap_is_told_once(expected, thresholds):
    from aiprod.qa import Span

    gap = measured("audio_gap").model_copy(update={"dropouts": (Span(start=0.5, seconds=1.0),)})
    assert [f.code for f in judge(gap, expected, thresholds)] == ["audio_gap"]
