"""A page of a report is complete without a network, and without pictures that cannot be read."""

from __future__ import annotations

from aiprod.bulk.report import report
from aiprod.bulk.report_page import as_html, thumbnails
from tests.aiprod.bulk.campaign import Campaign, keys


def test_what_is_not_delivered_is_listed_with_its_reason_in_harmless_words(campaign: Campaign) -> None:
    campaign.enter(*keys("<b>x</b>", prompt='"><img src=x onerror=alert(1)>'))
    found = report(campaign.market.ledger, "spring")
    assert thumbnails(campaign.storage, found) == {}
    page = as_html(found, {})
    assert "<b>" not in page and "<img" not in page and "&lt;b&gt;x&lt;/b&gt;" in page
    assert "Not delivered (1)" in page and "waits for a run of campaign spring" in page


def test_a_poster_that_is_gone_leaves_a_gap_and_no_error(campaign: Campaign) -> None:
    campaign.enter(*keys("a"))
    found = report(campaign.market.ledger, "spring")
    lost = found.model_copy(
        update={"rows": (found.rows[0].model_copy(update={"poster": "no/where.jpg", "status": "delivered"}),)}
    )
    assert thumbnails(campaign.storage, lost) == {}
    assert 'class="none"' in as_html(lost, {})
