"""Sharp, soft, blocky, noisy and banded pictures are told apart by number."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from aiprod.qa.detail import Detail, look_closely
from tests.aiprod.qa.specimens import moving


@pytest.fixture(scope="module")
def sharp():
    return moving(1, 640, 360)[0]


def test_blur_lowers_sharpness_step_by_step(sharp):
    seen = [look_closely(cv2.GaussianBlur(sharp, (0, 0), sigma) if sigma else sharp).sharpness for sigma in (0, 1.5, 3)]
    assert seen[0] > seen[1] > seen[2] and seen[2] < 0.275 < seen[0]


def test_blocks_are_seen_on_the_grid_of_eight_and_nowhere_else(sharp):
    coarse = cv2.resize(cv2.resize(sharp, (80, 45), interpolation=cv2.INTER_AREA), (640, 360), interpolation=cv2.INTER_NEAREST)
    assert look_closely(coarse).blocks > 3
    assert look_closely(sharp).blocks < 1.2


def test_one_hard_edge_on_the_grid_is_no_block(sharp):
    boxed = sharp.copy()
    boxed[:40] = boxed[320:] = 16
    assert look_closely(boxed).blocks < 1.2


@pytest.mark.parametrize("sigma", [3, 6, 12])
def test_noise_is_measured_in_codes(sharp, sigma):
    noisy = np.clip(sharp + np.random.default_rng(1).normal(0, sigma, sharp.shape), 0, 255).astype(np.uint8)
    assert look_closely(noisy).noise == pytest.approx(sigma, rel=0.35)


def test_posterised_tones_are_a_comb_and_smooth_ones_are_not():
    smooth = np.clip(np.random.default_rng(1).normal(120, 40, (360, 640)), 16, 235)
    assert look_closely((smooth // 20 * 20 + 10).astype(np.uint8)).comb > 0.4 > look_closely(smooth.astype(np.uint8)).comb


def test_what_cannot_be_told_is_not_told():
    assert look_closely(np.full((360, 640), 120, np.uint8)).sharpness is None
    assert look_closely(np.full((32, 32), 120, np.uint8)) == Detail(None, None, None, None)
