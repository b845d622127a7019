"""Times, shape and tone of a picture stream are what a viewer gets."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from aiprod.qa.picture import picture_facts
from tests.aiprod.qa.specimens import moving, seen


def facts(pictures, *, rate=24.0, aspect=None, **changes):
    return picture_facts(replace(seen(pictures), **changes), rate, aspect)


def test_rate_and_length_come_from_the_time_stamps():
    found = facts(moving(48), rate=30.0)
    assert (found["seconds"], found["fps"], found["mean_fps"]) == (pytest.approx(2), pytest.approx(24), pytest.approx(24))


def test_stamps_in_the_order_of_storage_are_put_in_order():
    times = np.arange(48) / 24
    shuffled = times.reshape(-1, 4)[:, [0, 2, 1, 3]].ravel()
    assert facts(moving(48), times=tuple(shuffled))["fps"] == pytest.approx(24)


def test_without_stamps_the_rate_of_the_container_counts():
    assert facts(moving(48), times=(None,) * 48)["seconds"] == pytest.approx(2)


def test_uneven_steps_have_two_rates():
    uneven = np.cumsum([0, *([1 / 30, 1 / 30, 1 / 15] * 16)])[:48]
    found = facts(moving(48), times=tuple(uneven))
    assert found["fps"] == pytest.approx(30) and found["mean_fps"] == pytest.approx(22.5, abs=0.5)


@pytest.mark.parametrize(("rotation", "shape", "bars"), [(0, (320, 180), "top"), (90, (180, 320), "left")])
def test_a_turned_picture_is_told_as_it_is_shown(rotation, shape, bars):
    pictures = moving(24)
    for picture in pictures:
        picture[:18] = picture[-18:] = 16
    found = facts(pictures, rotation=rotation)
    assert (found["width"], found["height"]) == shape
    thick = dict(zip(("top", "bottom", "left", "right"), found["bars"], strict=True))
    assert thick[bars] == pytest.approx(0.1, abs=0.02)


def test_oblong_pixels_change_the_shape_and_not_the_size():
    found = facts(moving(3), aspect=Fraction(4, 3))
    assert (found["width"], found["aspect"]) == (320, pytest.approx(320 / 180 * 4 / 3))


def test_black_and_plain_stretches_are_told_apart():
    pictures = moving(48)
    pictures[6:12], pictures[24:30] = [np.full((180, 320), 16, np.uint8)] * 6, [np.full((180, 320), 200, np.uint8)] * 6
    found = facts(pictures)
    assert [span.start for span in found["black"]] == [pytest.approx(0.25)]
    assert [span.start for span in found["blank"]] == [pytest.approx(1.0)]


def test_grain_over_one_picture_does_not_drift_and_a_pan_does():
    noise = np.random.default_rng(1)
    still = [np.clip(p + noise.normal(0, 6, p.shape), 0, 255).astype(np.uint8) for p in moving(1) * 24]
    assert facts(still)["drift"] < 1 < 20 < facts(moving(24))["drift"]


def test_absurd_stamps_stay_finite():
    assert np.isfinite(facts(moving(4), times=(0.0, 1e15, -1e15, 5.0))["seconds"])


def lifted(lift, frames=48):
    """A pan whose light is multiplied, from black on."""
    return [np.clip(16 + (p.astype(float) - 16) * lift(n), 0, 255).astype(np.uint8) for n, p in enumerate(moving(frames))]


def test_the_dark_ends_of_a_fade_are_not_black_and_a_start_or_end_without_a_picture_is():
    fades = lifted(lambda n: min(1.0, n / 24, (47 - n) / 24))
    assert facts(fades)["black"] == ()
    late = facts(lifted(lambda n: 0.0 if n < 8 else 1.0))["black"]
    early = facts(lifted(lambda n: 0.0 if n >= 40 else 1.0))["black"]
    assert [(s.start, s.seconds) for s in (*late, *early)] == [
        (0, pytest.approx(1 / 3)),
        (pytest.approx(40 / 24), pytest.approx(1 / 3)),
    ]


def test_a_fade_from_more_black_than_a_fade_has_is_told():
    assert facts(lifted(lambda n: max(0.0, (n - 20) / 28)))["black"][0].seconds > 0.8
    assert facts(lifted(lambda n: 0.0))["black"][0].seconds == pytest.approx(2)
