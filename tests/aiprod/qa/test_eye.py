"""The eye keeps numbers, few pictures, and one shape."""

from __future__ import annotations

import av
import numpy as np
import pytest

from aiprod.qa.eye import Eye
from tests.aiprod.qa.specimens import frame_of, moving, seen


def test_there_is_a_row_per_frame_and_one_per_step():
    found = seen(moving(30))
    assert (len(found.grid), len(found.chroma), len(found.levels)) == (30, 30, 30)
    assert (len(found.change), len(found.peak), len(found.cells)) == (29, 29, 29)
    assert found.grid.shape[1:] == (18, 32) and found.chroma.shape[1:] == (2, 18, 32)


def test_a_tall_picture_has_a_tall_grid():
    assert seen(moving(3, 180, 320)).grid.shape == (3, 32, 18)


def test_the_grid_is_mean_luma_and_the_tint_is_the_tint():
    pictures = moving(5)
    found = seen(pictures, colour=[(100, 140)] * 5)
    assert found.grid.mean(axis=(1, 2)) == pytest.approx([p.mean() for p in pictures], abs=0.5)
    assert found.chroma.mean(axis=(0, 2, 3)) == pytest.approx((100, 140), abs=0.5)


def test_equal_frames_do_not_change_and_others_do():
    still, pan = seen(moving(1) * 5), seen(moving(5))
    assert still.change.max() == 0 and still.departure == (0, 0)
    assert pan.change.min() > 1 and pan.departure[0] > pan.change.max()


def test_a_picture_that_changes_its_size_is_compared_in_the_size_it_began_with():
    eye = Eye()
    for number, size in enumerate(((320, 180), (160, 90), (180, 320))):
        eye.see(frame_of(moving(1, *size)[0], number))
    assert len(eye.seen().grid) == 3


@pytest.mark.parametrize("size", [(2, 2), (16, 16), (66, 34), (34, 66)])
def test_tiny_pictures_are_pictures_too(size):
    found = seen(moving(4, *size))
    assert len(found.grid) == 4 and np.isfinite(found.change).all()


def test_fine_pictures_of_deep_colour_are_seen_like_others():
    plain, deep = Eye(), Eye()
    for number, luma in enumerate(moving(4)):
        frame = frame_of(luma, number)
        plain.see(frame)
        ten = frame.reformat(format="yuv420p10le")
        ten.pts, ten.time_base = frame.pts, frame.time_base
        deep.see(ten)
    assert deep.seen().grid == pytest.approx(plain.seen().grid, abs=1)
    assert deep.seen().chroma == pytest.approx(plain.seen().chroma, abs=1)


def test_a_close_look_comes_once_a_second():
    assert len(seen(moving(48)).details) == 2
    assert isinstance(frame_of(moving(1)[0], 0), av.VideoFrame)
