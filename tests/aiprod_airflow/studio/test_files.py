"""Only the studio's own files are served, and none of another folder."""

from __future__ import annotations

import re

from aiprod_airflow.studio.files import served
from aiprod_airflow.studio.rendering import FOLDER
from tests.aiprod_airflow.api.people import API

STATIC = "/aiprod/studio/static"


def test_a_file_comes_with_its_type_and_is_asked_for_again(api: API) -> None:
    said = api.browser().get(f"{STATIC}/studio.js")

    assert said.headers["content-type"].startswith("text/javascript")
    assert (said.headers["cache-control"], said.headers["x-content-type-options"]) == ("private, no-cache", "nosniff")


def test_nothing_else_is_served(api: API) -> None:
    for name in ("", "../rendering.py", "..%2frendering.py", "vendor/manifest.json", "/etc/passwd", "vendor/../theme.js"):
        said = api.browser().get(f"{STATIC}/{name}")
        assert said.status_code == 404 or "javascript" in said.headers["content-type"]


def test_every_file_a_page_names_is_there() -> None:
    pages = "".join(page.read_text() for page in (FOLDER / "templates").glob("*.html"))
    named = set(re.findall(r"/static/([\w./-]+)", pages))

    assert named and named <= served()


def test_no_page_has_a_script_or_a_style_in_it() -> None:
    """The policy would not let it run; it would only fail in a browser."""
    for page in (FOLDER / "templates").glob("*.html"):
        text = page.read_text()
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|javascript:|hx-on|confirm\(|target=\"_", text), (
            page.name
        )
