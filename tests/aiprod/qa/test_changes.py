"""What changes at once is found at its moment, and told apart from what moves."""

from __future__ import annotations

import numpy as np
import pytest

from aiprod.qa.changes import changes
from tests.aiprod.qa.specimens import moving, seen

STEP = 1 / 24


def found(pictures, colour=None):
    n = len(pictures)
    return changes(seen(pictures, colour=colour), np.arange(n) * STEP, STEP, np.zeros(n, bool))


def other(frames):
    return [picture[::-1, ::-1].copy() for picture in moving(frames)]


def test_a_pan_has_no_sudden_change():
    calm = found(moving(60))
    assert (calm.cuts, calm.jumps, calm.glitches, calm.colour_steps, calm.greyed) == ((), (), (), (), ())
    assert calm.torn < 0.01


def test_a_cut_is_found_at_its_frame():
    assert found(moving(30) + other(30)).cuts == pytest.approx((30 * STEP,))


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_picture_that_is_gone_again_at_once_is_a_glitch_and_no_cut(frames):
    pictures = moving(60)
    pictures[25 : 25 + frames] = other(frames)
    seen = found(pictures)
    (span,) = seen.glitches
    assert (span.start, span.seconds) == (pytest.approx(25 * STEP), pytest.approx(frames * STEP))
    assert seen.cuts == ()


def test_a_wrong_tint_for_one_frame_is_a_glitch():
    tints = [(112, 150)] * 60
    tints[30] = (180, 60)
    assert len(found(moving(60), tints).glitches) == 1


def test_a_part_left_out_is_a_jump():
    pictures = moving(90)
    seen = found(pictures[:30] + pictures[36:])
    assert seen.jumps + seen.cuts == pytest.approx((30 * STEP,))


def test_colours_that_change_for_good_are_a_step():
    assert found(moving(60), [(112, 150)] * 30 + [(150, 112)] * 30).colour_steps == pytest.approx((30 * STEP,))


def test_colour_that_is_lost_for_a_while_is_told_with_its_length():
    (span,) = found(moving(60), [(112, 150)] * 20 + [(128, 128)] * 20 + [(112, 150)] * 20).greyed
    assert (span.start, span.seconds) == (pytest.approx(20 * STEP), pytest.approx(20 * STEP))


def test_a_clip_without_colour_does_not_lose_it():
    assert found(moving(48), [(128, 128)] * 48).greyed == ()


def test_a_part_that_breaks_and_stays_broken_is_torn():
    pictures = [picture.copy() for picture in moving(1) * 48]
    for picture in pictures[24:]:
        picture[40:120, 80:200] = 255 - picture[40:120, 80:200]
    torn = found(pictures)
    assert torn.torn == pytest.approx(80 * 120 / (180 * 320), abs=0.08)
    assert torn.torn_at[0].start == pytest.approx(24 * STEP)
