"""Bars are found where they are, and a dark scene has none."""

from __future__ import annotations

import numpy as np
import pytest

from aiprod.qa.bars import Bars, bars
from tests.aiprod.qa.specimens import moving


def extremes(pictures):
    return np.max(pictures, axis=0), np.min(pictures, axis=0)


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_a_bar_is_found_on_its_side_with_its_thickness(side):
    pictures = np.array(moving(24))
    area = {"top": np.s_[:, :18], "bottom": np.s_[:, -18:], "left": np.s_[:, :, :32], "right": np.s_[:, :, -32:]}[side]
    pictures[area] = 16
    assert bars(*extremes(pictures)) == Bars(**{side: pytest.approx(0.1, abs=0.01)})


def test_bars_may_ring_where_they_end():
    pictures = np.array(moving(24))
    pictures[:, :18], pictures[:, 15:18] = 16, 26
    assert bars(*extremes(pictures)).top == pytest.approx(0.1, abs=0.02)


def test_a_night_sky_is_no_bar():
    noise = np.random.default_rng(1).integers(0, 14, (24, 180, 320))
    pictures = (np.array(moving(24)) * np.linspace(0.02, 1, 180)[:, None] + noise).astype(np.uint8)
    assert bars(*extremes(pictures)) == Bars()


def test_white_edges_and_nothing_at_all_are_no_bars():
    pictures = np.array(moving(24))
    pictures[:, :18] = 235
    assert bars(*extremes(pictures)) == Bars()
    assert bars(None, None) == bars(*extremes(np.full((3, 180, 320), 16, np.uint8))) == Bars()
