"""Other people's scripts are exactly the ones that were pinned, with their licences beside them."""

from __future__ import annotations

from tools import vendored


def test_every_kept_file_is_the_pinned_one() -> None:
    assert vendored.wrong() == []


def test_nothing_is_served_that_nobody_pinned() -> None:
    pinned = {path for package in vendored.manifest().values() for path in package["files"]}
    kept = {p.relative_to(vendored.CHECKOUT).as_posix() for p in vendored.MANIFEST.parent.iterdir() if p != vendored.MANIFEST}

    assert kept <= pinned


def test_every_package_comes_with_its_licence() -> None:
    for package in vendored.manifest().values():
        assert package["licence"]
        assert any(path.endswith("LICENSE") for path in package["files"])
