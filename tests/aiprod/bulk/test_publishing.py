"""Delivered videos get their names once, and the report lies beside them, whatever happened to one of them."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from aiprod.bulk.publishing import Published, publish
from aiprod.ledger import campaign_results
from aiprod.storage import Storage
from tests.aiprod.bulk.campaign import Campaign, keys
from tests.desk import NOW


def published(campaign: Campaign) -> Published:
    return publish(campaign.market.ledger, campaign.storage, "spring")


class Page(HTMLParser):
    """Notes which addresses and programs a page has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]


def test_a_video_gets_its_name_once_and_the_report_shows_it(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign.enter(*keys("a", prompt="<script>alert(1)</script>"), naming="{aspect_ratio}/{row}.mp4")
    campaign.run()
    made = published(campaign)
    video = Path(made.files["html"].url).parents[1] / "16x9" / "a.mp4"
    assert video.read_bytes()[4:8] == b"ftyp"
    assert made.report.rows[0].video == "campaigns/16x9/a.mp4" and made.unnamed == ()
    page = Page(Path(made.files["html"].url).read_text())
    assert page.tags.count("img") == 1 and "script" not in page.tags
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert json.loads(Path(made.files["json"].url).read_text())["statuses"] == {"delivered": 1}

    monkeypatch.setattr(Storage, "keep", None)
    assert published(campaign).unnamed == ()


def test_a_name_that_is_taken_is_told_and_the_report_is_written(campaign: Campaign) -> None:
    campaign.enter(*keys("a"))
    campaign.run()
    campaign.storage.keep_text("mine", "campaigns/spring/a.mp4")
    made = published(campaign)
    assert len(made.unnamed) == 1 and "already holds another file" in made.unnamed[0]
    assert (made.report.rows[0].video or "").endswith("/default_spring-a_v1.mp4")


def test_every_revision_has_a_name_of_its_own_though_both_are_versions_of_one_job(campaign: Campaign) -> None:
    campaign.enter(*keys("a"))
    campaign.run()
    campaign.enter(*keys("a", prompt="another"))
    campaign.run("run-c")
    made = published(campaign)
    folder = Path(made.files["html"].url).parent
    assert {file.name for file in folder.glob("*.mp4")} == {"a.mp4", "a-r2.mp4"}
    (row,) = made.report.rows
    assert (row.video, row.version, row.title) == ("campaigns/spring/a-r2.mp4", 2, "another")
    with campaign.market.ledger.read() as conn:
        first, second = campaign_results.results_of(conn, "spring", now=NOW)
    assert (first.published, first.version, first.status, first.replaced) == ("campaigns/spring/a.mp4", 1, "delivered", True)
    assert first.delivered_at is not None and second.delivered_at is not None and first.delivered_at < second.delivered_at
