"""A thumbnail is small, keeps its picture's shape, and is made of pictures only."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from aiprod.assembly import thumbnail
from aiprod.errors import StorageError


@pytest.mark.parametrize(("shape", "seen"), [((720, 1280), (108, 192)), ((1280, 720), (192, 108)), ((60, 80), (60, 80))])
def test_a_thumbnail_is_small_and_never_larger_than_its_picture(
    tmp_path: Path, shape: tuple[int, int], seen: tuple[int, int]
) -> None:
    ramp = np.linspace(0, 255, shape[1], dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "poster.jpg"), np.broadcast_to(ramp[None, :, None], (*shape, 3)).copy())

    data = thumbnail(tmp_path / "poster.jpg", side=192)

    small = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert (small.shape[:2], data[8:12], len(data) < 5_000) == (seen, b"WEBP", True)
    assert [small[5, 2].mean(), small[5, -3].mean()] == pytest.approx([0, 255], abs=12)


def test_what_is_no_picture_has_no_thumbnail(tmp_path: Path) -> None:
    (tmp_path / "poster.jpg").write_text("<html>")

    with pytest.raises(StorageError, match="no picture"):
        thumbnail(tmp_path / "poster.jpg", side=192)
