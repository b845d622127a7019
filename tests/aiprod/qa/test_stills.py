"""What stands still is found, whatever grain lies over it; what moves a little is left alone."""

from __future__ import annotations

import numpy as np
import pytest

from aiprod.qa.stills import stillness
from tests.aiprod.qa.specimens import moving, seen

STEP = 1 / 24


def found(pictures):
    times = np.arange(len(pictures)) * STEP
    return stillness(seen(pictures), times, STEP, np.zeros(len(pictures), bool))


def grainy(pictures, sigma=4.0):
    noise = np.random.default_rng(3)
    return [np.clip(p + noise.normal(0, sigma, p.shape), 0, 255).astype(np.uint8) for p in pictures]


def held(first, last, frames=60):
    pictures = moving(frames)
    pictures[first:last] = [pictures[first]] * (last - first)
    return pictures


def test_a_pan_neither_freezes_nor_hesitates():
    still = found(moving(60))
    assert (still.still, still.frozen, still.repeats, still.lone_repeats, still.stuck_at) == (0, (), 0, 0, ())


@pytest.mark.parametrize(("first", "last"), [(0, 20), (20, 40), (40, 60)], ids=["head", "middle", "tail"])
@pytest.mark.parametrize("grain", [0, 4])
def test_a_freeze_is_found_with_and_without_grain(first, last, grain):
    pictures = held(first, last)
    spans = found(grainy(pictures, grain) if grain else pictures).frozen
    (span,) = [span for span in spans if span.seconds > 0.5]
    assert span.start == pytest.approx(first * STEP, abs=0.1)
    assert span.seconds == pytest.approx(19 * STEP, abs=0.2)


def test_grain_over_a_pan_is_no_freeze():
    assert found(grainy(moving(60))).frozen == ()


def test_a_gap_between_two_frames_is_a_freeze():
    pictures = moving(48)
    times = np.arange(48) * STEP
    times[24:] += 0.8
    assert len(stillness(seen(pictures), times, STEP, np.zeros(48, bool)).frozen) == 1


def test_every_frame_twice_is_half_of_them_repeated():
    pictures = moving(60)
    assert found([pictures[n // 2 * 2] for n in range(60)]).repeats == pytest.approx(0.5, abs=0.02)


def test_a_lone_repeat_is_counted_alone():
    pictures = moving(60)
    for at in (10, 20, 30, 40):
        pictures[at] = pictures[at - 1]
    assert found(pictures).lone_repeats == 4


def test_a_part_that_stops_while_the_rest_moves_on_is_stuck():
    pictures = moving(60)
    for at in range(20, 45):
        pictures[at] = np.concatenate([pictures[20][:, :160], pictures[at][:, 160:]], axis=1)
    still = found(pictures)
    assert 0.25 < still.stuck <= 0.5
    assert still.stuck_at[0].start == pytest.approx(20 * STEP, abs=0.1)


def test_a_fade_that_ends_is_nothing_stuck():
    base = moving(60)
    pictures = [np.concatenate([base[0][:120] * min(1.0, 0.3 + n / 30), base[n][120:]]).astype(np.uint8) for n in range(60)]
    assert found(pictures).stuck_at == ()


def test_one_frame_cannot_stand_still():
    assert found(moving(1)) is None


def speaking(moments, *, wide):
    """Before a wall that does not move a mouth of so many rows opens and closes, as far as each moment says."""
    wall = moving(1)[0]
    pictures = []
    for at in moments:
        picture = wall.copy()
        picture[60 : 60 + wide, 150 : 150 + 2 + round(8 * (1 + np.sin(1.9 * at)))] = 20
        pictures.append(picture)
    return pictures


def test_somebody_who_pauses_repeats_no_frames():
    pausing = [at - min(at % 8, 3) for at in range(60)]
    assert found(speaking(pausing, wide=6)).repeats == 0


def test_somebody_whose_every_frame_is_there_twice_repeats_them():
    twice = [at // 2 * 3 for at in range(60)]
    assert found(speaking(twice, wide=80)).repeats > 0.3
