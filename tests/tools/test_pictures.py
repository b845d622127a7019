"""Pictures are taken by the very test that looks at the pages."""

from __future__ import annotations

from tools import pictures


def test_the_test_that_takes_them_is_there() -> None:
    assert (pictures.CHECKOUT / "tests" / "browser" / "test_pictures.py").exists()
    assert pictures.FOLDER == pictures.CHECKOUT / "docs" / "pictures"
