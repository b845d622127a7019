"""Flicker and flashes are measured; motion, cuts and a slow dawn are neither."""

from __future__ import annotations

import numpy as np
import pytest

from aiprod.qa.light import light
from tests.aiprod.qa.specimens import moving, seen

STEP = 1 / 24


def found(pictures, colour=None, step=STEP):
    n = len(pictures)
    return light(seen(pictures, colour=colour), np.arange(n) * step, step, np.zeros(n, bool), np.zeros(n - 1, bool))


def lit(lift, frames=48):
    return [np.clip(p + float(lift(n)), 0, 255).astype(np.uint8) for n, p in enumerate(moving(frames))]


def test_a_pan_and_a_dawn_are_steady():
    assert found(moving(48)).flicker < 0.3
    assert found(lit(lambda n: 1.5 * n - 40)).flicker < 0.3


@pytest.mark.parametrize("period", [2, 3, 5])
def test_brightness_that_swings_flickers(period):
    assert found(lit(lambda n: 5 * np.sin(2 * np.pi * n / period + 0.5))).flicker > 0.7


def test_half_a_second_of_flicker_is_found_where_it_is():
    seen = found(lit(lambda n: 8 * (n % 2) if 20 <= n < 36 else 0))
    assert seen.flicker > 2 and seen.flicker_at[0].start == pytest.approx(20 * STEP, abs=0.15)


def strobe(half_period, frames=48):
    return [np.full((180, 320), 200 if n // half_period % 2 else 40, np.uint8) for n in range(frames)]


@pytest.mark.parametrize(("half_period", "flashes"), [(2, 6), (3, 4), (4, 3), (12, 1)])
def test_flashes_are_counted_by_the_second(half_period, flashes):
    assert found(strobe(half_period)).flashes == flashes


def test_three_flashes_a_second_are_allowed_and_more_are_not(thresholds):
    assert found(strobe(4)).flashes <= thresholds.flashes_per_second < found(strobe(3)).flashes


def test_a_flash_on_less_than_a_quarter_of_the_picture_does_not_count():
    pictures = [picture.copy() for picture in moving(1) * 48]
    for n, picture in enumerate(pictures):
        picture[:80, :120] = 220 if n // 2 % 2 else 30
    assert found(pictures).flashes == 0


def test_red_flashes_count_where_luminance_hardly_changes():
    """Saturated red against a grey that is as light."""
    pictures = [np.full((180, 320), 78, np.uint8)] * 48
    colours = [(100, 212) if n // 2 % 2 else (128, 128) for n in range(48)]
    assert found(pictures, colours).flashes > 3
    assert found(pictures, [(128, 128)] * 48).flashes == 0


def test_too_few_frames_say_nothing():
    assert found(moving(2)).flicker == 0
