"""The ear hears what is missing, and says when."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from aiprod.qa.ear import Ear
from tests.aiprod.qa.specimens import tone

RATE = 48_000


def heard(sound, *, start=0, skip=(), kind="fltp"):
    """What the ear makes of samples x channels; `skip` are blocks that never arrive."""
    ear = Ear()
    for number, at in enumerate(range(0, len(sound), 1024)):
        if number in skip:
            continue
        block = np.ascontiguousarray(sound[at : at + 1024].T)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo" if sound.shape[1] == 2 else "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, start + at, Fraction(1, RATE)
        for one in av.AudioResampler(kind).resample(frame) if kind != "fltp" else [frame]:
            one.pts, one.time_base = start + at, Fraction(1, RATE)
            ear.hear(one)
    return ear.heard()


def stereo(seconds=2.0, level=0.2):
    return np.stack([tone(seconds, level)] * 2, axis=1)


def test_a_tone_has_its_level_in_both_channels():
    found = heard(stereo())
    assert found.channels == pytest.approx((-16.99, -16.99), abs=0.05)
    assert found.seconds == pytest.approx(2.0) and found.dropouts == () and found.clipped == 0


@pytest.mark.parametrize("kind", ["s16", "s16p", "s32", "u8", "flt", "dbl"])
def test_every_kind_of_sample_is_heard_alike(kind):
    assert heard(stereo(), kind=kind).channels[0] == pytest.approx(-16.99, abs=0.2)


@pytest.mark.parametrize("seconds", [0.03, 0.2, 0.8])
def test_a_dropout_is_found_where_it_is(seconds):
    sound = stereo()
    first = RATE * 7 // 10
    sound[first : first + round(seconds * RATE)] = 0
    (found,) = heard(sound).dropouts
    assert found.start == pytest.approx(0.7, abs=0.02) and found.seconds == pytest.approx(seconds, abs=0.02)


def test_packets_that_never_came_are_a_dropout_too():
    assert len(heard(stereo(), skip=range(30, 36)).dropouts) == 1


def test_sound_that_fades_away_is_no_dropout():
    sound = stereo() * np.clip(np.abs(np.linspace(-1, 1, 2 * RATE))[:, None] * 3 - 0.5, 0, 1) ** 3
    assert heard(sound.astype(np.float32)).dropouts == ()


def test_a_beat_with_silence_in_between_is_no_dropout():
    sound = stereo(4.0)
    sound[(np.arange(len(sound)) // (RATE // 4)) % 2 == 0] = 0
    assert heard(sound).dropouts == ()


def test_overdriven_sound_is_clipped_and_loud_sound_is_not():
    assert heard(np.clip(stereo(level=3.0), -1, 1)).clipped > 0.3
    assert heard(stereo(level=0.97)).clipped == 0


def test_no_sound_is_nothing_and_broken_samples_hurt_nobody():
    assert Ear().heard().levels == ()
    sound = stereo()
    sound[100:200] = np.nan
    sound[300] = np.inf
    assert np.isfinite(heard(sound).channels).all()


def test_sound_that_starts_late_says_so():
    assert heard(stereo(), start=RATE // 2).start == pytest.approx(0.5)
