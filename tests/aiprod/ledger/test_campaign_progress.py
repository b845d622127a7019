"""A campaign's jobs are counted where they stand, its money is its cap's, and what is hidden is not even named."""

from __future__ import annotations

import pytest

from aiprod.bulk import holding
from aiprod.ledger import campaign_progress, jobs
from aiprod.ledger.campaign_progress import Progress
from aiprod.models import JobSpec
from tests.aiprod.bulk.campaign import Campaign, keys
from tests.desk import NOW
from tests.market import Market


@pytest.fixture
def campaign(local_market: Market) -> Campaign:
    return Campaign(local_market)


def progress(of: Campaign, /, **asked: object) -> list[Progress]:
    with of.market.ledger.read() as conn:
        return campaign_progress.progress(conn, **asked)  # type: ignore[arg-type]


def test_jobs_are_counted_where_they_stand_and_the_money_is_the_caps(campaign: Campaign) -> None:
    campaign.market.with_backend("runway", slots=1)
    campaign.enter(*keys("a", "b", "c", backend="runway"))
    assert len(campaign.run()) == 2
    (found,) = progress(campaign)
    assert (found.campaign, found.jobs, found.delivered, found.waiting, found.failed) == ("spring", 3, 2, 1, 0)
    assert found.charged == sum(p.charged or 0 for job in ("spring-a", "spring-b") for p in campaign.market.purchases(job))
    assert found.left == found.approved - found.held - found.charged
    assert found.going and found.sourced and found.created_by == "ann"


def test_who_paused_and_who_cancelled_is_told(campaign: Campaign) -> None:
    campaign.enter(*keys("a"))
    holding.say(campaign.market.ledger, campaign.market.catalog, "spring", "paused", by="bob")
    assert progress(campaign)[0].paused_by == "bob"
    holding.say(campaign.market.ledger, campaign.market.catalog, "spring", "cancelled", by="eve")
    (found,) = progress(campaign)
    assert (found.cancelled_by, found.cancelled, found.going) == ("eve", 1, False)


def test_a_campaign_with_a_job_of_a_hidden_project_is_not_there(campaign: Campaign) -> None:
    campaign.enter(*keys("a"))
    with campaign.market.ledger.write() as conn:
        jobs.enter(conn, "theirs", JobSpec(prompt="a", project="acme"), now=NOW, campaign="spring")
        jobs.enter(conn, "other", JobSpec(prompt="a"), now=NOW, campaign="autumn")
    assert [one.campaign for one in progress(campaign, hidden_projects=("acme",))] == ["autumn"]
    assert progress(campaign, campaign="spring", hidden_projects=("acme",)) == []
    assert {one.campaign for one in progress(campaign)} == {"spring", "autumn"}


def test_the_newest_come_first_and_no_more_than_asked_for(campaign: Campaign) -> None:
    with campaign.market.ledger.write() as conn:
        for n in range(5):
            jobs.enter(conn, f"job-{n}", JobSpec(prompt="a"), now=NOW.replace(day=n + 1), campaign=f"c-{n}")
    assert [one.campaign for one in progress(campaign, limit=2)] == ["c-4", "c-3"]
    assert progress(campaign)[0].sourced is False
