"""Pictures are taken by the very test that looks at the pages, and stay small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tools import pictures


def test_the_test_that_takes_them_is_there() -> None:
    assert (pictures.CHECKOUT / "tests" / "browser" / "test_pictures.py").exists()
    assert pictures.FOLDER == pictures.CHECKOUT / "docs" / "pictures"


def test_a_picture_gets_a_palette_and_as_few_colours_as_it_takes_to_be_small(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (300, 500, 3), dtype=np.uint8)
    noisy, plain = tmp_path / "noisy.png", tmp_path / "plain.png"
    Image.fromarray(noise).save(noisy)
    Image.new("RGB", (300, 500), "teal").save(plain)
    before = noisy.stat().st_size

    assert before > pictures.MOST >= pictures.shrink(noisy)
    assert pictures.shrink(plain) <= pictures.MOST
    with Image.open(noisy) as few, Image.open(plain) as one:
        assert (few.mode, one.mode) == ("P", "P")
        assert one.convert("RGB").getpixel((9, 9)) == (0, 128, 128)


def test_every_picture_in_the_documentation_is_small() -> None:
    sizes = {picture.name: picture.stat().st_size for picture in pictures.FOLDER.glob("studio-*.png")}

    assert sizes
    assert {name: size for name, size in sizes.items() if size > pictures.MOST} == {}
