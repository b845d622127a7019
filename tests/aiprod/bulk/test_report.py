"""A report says of every row what became of it and why, and its money is the ledger's."""

from __future__ import annotations

import csv
import io

import pytest

from aiprod.bulk.report import _percentile, as_csv, report
from aiprod.errors import JobUnknown
from tests.aiprod.bulk.campaign import Campaign, keys

FAILS = "[[runway=fail-charged]] [[veo3=reject]] [[replicate=moderated]]"


def test_every_row_stands_there_with_its_reason_and_the_sums_are_the_ledgers(everywhere: Campaign) -> None:
    everywhere.enter(*keys("a"), *keys("b", prompt=FAILS), *keys("c"))
    everywhere.run()
    everywhere.enter(*keys("a"), *keys("b", prompt=FAILS), *keys("c", prompt="another"), *keys("d"))
    found = report(everywhere.market.ledger, "spring")
    assert [(row.row, row.status) for row in found.rows] == [
        ("a", "delivered"),
        ("b", "failed"),
        ("c", "waiting"),
        ("d", "waiting"),
    ]
    assert found.statuses == {"delivered": 1, "failed": 1, "waiting": 2}
    assert "no job has a take" not in found.rows[1].why and found.rows[1].why.startswith(("route: ", "assemble: "))
    assert "waits for a run" in found.rows[2].why and (found.rows[2].revision, found.rows[2].version, found.rows[2].title) == (
        2,
        2,
        "another",
    )
    standing = everywhere.market.balance("campaign", "spring")
    assert (found.charged, found.approved) == (standing.settled, standing.cap)
    failed = found.rows[1]
    assert found.charged == failed.charged + 2 * 120_000, "the video of c that was replaced is still paid"
    assert found.waste == failed.waste == failed.charged > 0
    assert found.seconds_p50 is not None


def test_a_percentile_is_a_time_that_occurred() -> None:
    assert [_percentile([1, 2, 3, 4], p) for p in (50, 95)] == [2, 4]
    assert _percentile([7], 50) == 7 and _percentile([], 95) is None


def test_csv_has_every_row_and_no_formula(campaign: Campaign) -> None:
    campaign.enter(*keys("a", prompt="=HYPERLINK(1)"), *keys("+b"))
    rows = list(csv.DictReader(io.StringIO(as_csv(report(campaign.market.ledger, "spring")))))
    assert [(row["row"], row["title"], row["status"]) for row in rows] == [
        ("a", "'=HYPERLINK(1)", "waiting"),
        ("'+b", "'+b", "waiting"),
    ]


def test_a_long_prompt_is_cut_between_words_and_shows_it(campaign: Campaign) -> None:
    campaign.enter(*keys("a", prompt="a lighthouse in a storm " * 9))
    (row,) = report(campaign.market.ledger, "spring").rows
    assert row.title.endswith(("storm…", "lighthouse…", "a…", "in…")) and len(row.title) <= 80


def test_a_campaign_nobody_knows_is_refused(campaign: Campaign) -> None:
    with pytest.raises(JobUnknown, match="campaign nobody is not in the ledger"):
        report(campaign.market.ledger, "nobody")


def test_a_campaign_without_a_source_is_reported_too(campaign: Campaign) -> None:
    campaign.market.pipeline.enlist([{"prompt": "a", "seconds": 1}], campaign="old", amount=1_000_000, by="ann")
    (row,) = report(campaign.market.ledger, "old").rows
    assert (row.row, row.job_id, row.status) == ("old-1", "old-1", "waiting")
