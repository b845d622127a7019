"""A site that would fetch something from elsewhere is not passed."""

from __future__ import annotations

from pathlib import Path

from tools.docs_site import foreign


def test_what_a_page_fetches_from_elsewhere_is_found_and_what_one_clicks_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<script src="https://cdn.example/x.js"></script><link rel="stylesheet" href="//fonts.example/y.css">'
        '<img src="pictures/z.png"><a href="https://vendor.example">a vendor</a><link href="assets/main.css">'
    )
    assert foreign(tmp_path) == ["a.html: //fonts.example/y.css", "a.html: https://cdn.example/x.js"]
