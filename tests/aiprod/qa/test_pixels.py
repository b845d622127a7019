"""Whatever the pixel format, black is 16, white is 235 and the shape is the same."""

from __future__ import annotations

import av
import numpy as np
import pytest

from aiprod.qa.pixels import Picture, grid_size


def picture(name, grey=128, size=(96, 64)):
    image = np.full((size[1], size[0], 3), grey, np.uint8)
    return Picture(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=name))


@pytest.mark.parametrize(
    "name",
    ["yuv420p", "yuv422p", "yuv444p", "yuvj420p", "nv12", "yuv420p10le", "yuv422p10le", "yuv444p12le", "p010le", "rgb24"],
)
@pytest.mark.parametrize(("grey", "luma"), [(0, 16), (128, 126), (255, 235)])
def test_grey_is_the_same_grey_in_every_format(name, grey, luma):
    seen = picture(name, grey)
    assert seen.tile().shape == (64, 96)
    assert np.abs(seen.tile().astype(int) - luma).max() <= 2
    assert np.abs(seen.chroma().astype(int) - 128).max() <= 2
    assert np.abs(seen.middle(32, 32).astype(int) - luma).max() <= 2


@pytest.mark.parametrize(("size", "grid"), [((1920, 1080), (32, 18)), ((1080, 1920), (18, 32)), ((500, 500), (32, 18))])
def test_the_grid_lies_as_the_picture_does(size, grid):
    assert grid_size(*size) == grid


@pytest.mark.parametrize(
    ("size", "tile"), [((640, 360), (320, 180)), ((1920, 1080), (320, 180)), ((101, 67), (101, 67)), ((2, 2), (2, 2))]
)
def test_a_tile_is_a_whole_number_of_times_smaller(size, tile):
    assert picture("yuv444p", size=size).tile().shape == tile[::-1]


def test_a_close_look_keeps_to_the_blocks_that_encoders_use():
    seen = picture("yuv420p", size=(3840, 2160))
    assert seen.middle(1920, 1088).shape == (1088, 1920)
