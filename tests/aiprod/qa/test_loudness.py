"""Loudness is what the standard says it is."""

from __future__ import annotations

import numpy as np
import pytest

from aiprod.qa.loudness import Loudness


def lufs(sound, rate=48_000, block=1024):
    loudness = Loudness(rate, sound.shape[0])
    for start in range(0, sound.shape[1], block):
        loudness.hear(sound[:, start : start + block])
    return loudness.integrated()


def sine(level_db, *, rate=48_000, seconds=5.0, channels=2, hertz=997):
    wave = 10 ** (level_db / 20) * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.stack([wave] * channels).astype(np.float32)


@pytest.mark.parametrize("rate", [48_000, 44_100])
def test_the_reference_tone_of_the_standard_measures_what_it_is(rate):
    """EBU Tech 3341, case 1: a stereo sine of 1 kHz at -23 dBFS is -23 LUFS, within 0.1."""
    assert lufs(sine(-23, rate=rate), rate) == pytest.approx(-23, abs=0.1)


def test_one_channel_is_three_decibels_less_than_two():
    assert lufs(sine(-23, channels=1)) == pytest.approx(-26.01, abs=0.1)


def test_what_is_quiet_does_not_make_the_whole_quieter():
    """EBU Tech 3341, case 3: seconds at -36 around many at -23 change nothing."""
    sound = np.concatenate([sine(-36, seconds=2), sine(-23, seconds=30), sine(-36, seconds=2)], axis=1)
    assert lufs(sound) == pytest.approx(-23, abs=0.1)


def test_how_sound_is_cut_into_frames_changes_nothing():
    assert lufs(sine(-20), block=1024) == pytest.approx(lufs(sine(-20), block=317), abs=0.001)


@pytest.mark.parametrize("sound", [np.zeros((2, 0), np.float32), np.zeros((2, 96_000), np.float32), sine(-20, seconds=0.2)])
def test_nothing_silence_and_a_click_have_no_loudness(sound):
    assert lufs(sound) is None
