"""The page about the API says what the API says of itself."""

from __future__ import annotations

import re

import tests.airflow_home  # noqa: F401 - before Airflow is imported

# isort: split
from tools.api_docs import FILE, page


def test_the_page_is_current() -> None:
    assert FILE.read_text(encoding="utf-8") == page(), "run `python -m tools.api_docs`"


def test_every_link_leads_somewhere() -> None:
    text = page()
    heads = {line.lstrip("# ").strip("`").lower() for line in text.splitlines() if line.startswith("###")}

    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= heads
