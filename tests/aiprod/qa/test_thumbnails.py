"""A picture of the very frame a finding is about, and never a reason to fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from aiprod.qa import thumbnails_apart
from aiprod.qa.thumbnails import thumbnails
from tests.aiprod.qa.specimens import HEIGHT, WIDTH, moving


def grey(jpeg: bytes | None) -> np.ndarray:
    assert jpeg is not None
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)


def test_each_moment_shows_the_frame_that_is_shown_then(clip: Callable[..., Path]) -> None:
    pictures = [np.full((HEIGHT, WIDTH), 40 if n < 24 else 200, np.uint8) for n in range(48)]
    dark, light, last = thumbnails(clip(pictures=pictures), [0.98, 1.02, 99.0])
    assert grey(dark).mean() < 60 < 180 < grey(light).mean()
    assert grey(last).mean() > 180


def test_moments_may_come_in_any_order(clip: Callable[..., Path]) -> None:
    file = clip()
    assert thumbnails(file, [1.5, 0.5]) == thumbnails(file, [0.5, 1.5])[::-1]


def test_they_are_small(clip: Callable[..., Path]) -> None:
    (picture,) = thumbnails(clip(pictures=moving(4, 640, 1136)), [0.1])
    assert grey(picture).shape == (320, 180)


def test_a_file_that_is_no_video_has_none(tmp_path: Path) -> None:
    page = tmp_path / "page.mp4"
    page.write_text("<html>")
    assert thumbnails(page, [0.0, 1.0]) == [None, None]
    assert thumbnails_apart(page, [0.0]) == [None]


def test_another_process_makes_the_same(clip: Callable[..., Path]) -> None:
    file = clip()
    assert thumbnails_apart(file, [0.5]) == thumbnails(file, [0.5])
