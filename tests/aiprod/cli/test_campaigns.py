"""A person pauses, resumes, cancels and looks at a campaign from a shell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiprod.cli import main
from tests.aiprod.bulk.campaign import Campaign, keys
from tests.market import Market
from tests.shell import refused, said


@pytest.fixture
def campaign(local_market: Market) -> Campaign:
    """One row is delivered, one waits."""
    made = Campaign(local_market)
    made.enter(*keys("a"))
    made.run()
    made.enter(*keys("a", "b"))
    return made


def test_a_paused_campaign_starts_nothing_until_it_is_resumed(campaign: Campaign, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["campaign", "pause", "spring", "--by", "ann"]) == 0
    assert "spring is paused: no more of its jobs are started" in said(capsys)[0]
    assert campaign.market.pipeline.next_batch() is None
    assert main(["campaign", "pause", "spring"]) == 0
    assert "paused since before" in said(capsys)[0]
    assert main(["campaign", "resume", "spring"]) == 0
    assert campaign.market.pipeline.next_batch() is not None


def test_a_cancelled_campaign_says_what_was_stopped_and_takes_no_other_word(
    campaign: Campaign, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["campaign", "cancel", "spring", "--by", "ann"]) == 0
    assert "1 jobs cancelled; $0.00 of holds given back" in said(capsys)[0]
    assert main(["campaign", "resume", "spring"]) == 1
    assert "was cancelled by ann" in refused(capsys)


def test_it_shows_every_row_and_programs_get_the_report(campaign: Campaign, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["campaign", "show", "spring"]) == 0
    out = said(capsys)[0]
    assert "spring is going on: 1 delivered, 1 waiting; rows.csv" in out and "$0.12 charged" in out
    assert main(["campaign", "show", "spring", "--json"]) == 0
    assert [row["status"] for row in json.loads(said(capsys)[0])["rows"]] == ["delivered", "waiting"]
    assert main(["campaign", "list"]) == 0
    assert "going on" in said(capsys)[0]


def test_the_report_is_written_and_the_videos_have_their_names(campaign: Campaign, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["campaign", "report", "spring", "--json"]) == 0
    files = json.loads(said(capsys)[0])["files"]
    assert Path(files["html"]).read_text().startswith("<!doctype html>")
    assert (Path(files["html"]).parent / "a.mp4").exists()


@pytest.mark.parametrize("verb", ["show", "report", "pause", "resume", "cancel"])
def test_a_campaign_nobody_knows_is_one_line(local_market: Market, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    assert main(["campaign", verb, "nobody"]) == 3
    assert "campaign nobody is not in the ledger" in refused(capsys)


def test_without_any_it_says_so(local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["campaign", "list"]) == 0
    assert said(capsys)[0] == "no campaign was approved yet\n"
