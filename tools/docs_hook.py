"""For mkdocs: a link that leads out of docs/ names its file instead, because a site has the pages and not the code."""

from __future__ import annotations

import posixpath
import re
from typing import Any

_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((\.\./[^()\s]+)\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Called by mkdocs for every page, before it is made HTML."""
    return inward(markdown, page.file.src_uri)


def inward(markdown: str, source: str) -> str:
    """Return the page with links that leave docs/ as words; `source` is the page's path below docs/."""

    def named(link: re.Match[str]) -> str:
        words, goal = link[1], link[2]
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(source), goal))
        if path.startswith("docs/"):
            return link[0]
        return words if words.strip("`") == path else f"{words} (`{path}`)"

    return _LINK.sub(named, markdown)
