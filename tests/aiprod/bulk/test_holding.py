"""A campaign can be paused, taken up again and cancelled, and it says when it is over."""

from __future__ import annotations

import pytest

from aiprod.bulk import holding
from aiprod.bulk.holding import Said
from aiprod.errors import JobMoved, JobUnknown, SpecError
from aiprod.ledger.campaigns import Word
from tests.aiprod.bulk.campaign import Campaign, keys


def standing(campaign: Campaign) -> str:
    return holding.standing(campaign.market.ledger, campaign.market.catalog, campaign.name)


def say(campaign: Campaign, word: Word, *, by: str = "ann") -> Said:
    return holding.say(campaign.market.ledger, campaign.market.catalog, campaign.name, word, by=by)


def test_a_paused_campaign_starts_nothing_and_another_goes_on(everywhere: Campaign) -> None:
    everywhere.enter(*keys("a"))
    other = Campaign(everywhere.market, name="autumn")
    other.enter(*keys("b"))
    assert say(everywhere, "paused").fresh and not say(everywhere, "paused").fresh
    batch = everywhere.market.pipeline.next_batch()
    assert batch is not None and batch.job_ids == ("autumn-b",)
    assert everywhere.market.pipeline.next_batch() is None
    assert standing(everywhere) == "waits"
    assert say(everywhere, "resumed").fresh and not say(everywhere, "resumed").fresh
    batch = everywhere.market.pipeline.next_batch()
    assert batch is not None and batch.job_ids == ("spring-a",)


def test_what_a_run_carries_when_its_campaign_is_paused_is_delivered(campaign: Campaign) -> None:
    campaign.enter(*keys("a"))
    batch = campaign.market.pipeline.next_batch()
    assert batch is not None
    campaign.market.pipeline.carry(batch.job_ids, run_id="run-b")
    say(campaign, "paused")
    campaign.market.run("spring-a")
    campaign.market.pipeline.assemble(["spring-a"])
    assert len(campaign.market.pipeline.deliver(["spring-a"])) == 1


def test_a_cancelled_campaign_buys_nothing_more_keeps_what_it_has_and_takes_no_new_rows(everywhere: Campaign) -> None:
    everywhere.market.with_backend("runway", slots=1)
    everywhere.enter(*keys("a", "b", "c", backend="runway"))
    assert everywhere.run() == ["spring-a", "spring-b"]
    cancelled = say(everywhere, "cancelled")
    assert (cancelled.fresh, cancelled.jobs) == (True, 1)
    assert everywhere.market.count("deliveries") == 2
    assert everywhere.market.pipeline.next_batch() is None
    assert standing(everywhere) == "over"
    assert not say(everywhere, "cancelled", by="bob").fresh
    with pytest.raises(SpecError, match="was cancelled by ann"):
        everywhere.plan(*keys("d"))
    with pytest.raises(JobMoved, match="was cancelled by ann"):
        say(everywhere, "resumed")


def test_renders_that_run_are_asked_to_stop_and_holds_come_back(campaign: Campaign) -> None:
    campaign.enter(*keys("a", prompt="[[runway=slow:600]]", backend="runway"), *keys("b", backend="runway"))
    ids = ["spring-a", "spring-b"]
    campaign.market.pipeline.carry(ids, run_id="run-b")
    campaign.market.pipeline.route(ids, 1)
    campaign.market.pipeline.render(["spring-a"], "runway", 1)
    cancelled = say(campaign, "cancelled")
    assert len(cancelled.renders) == 1 and cancelled.money == 120_000


def test_it_is_ready_while_a_job_can_go_on_and_over_when_none_is_left(campaign: Campaign) -> None:
    campaign.enter(*keys("a"))
    assert standing(campaign) == "ready"
    campaign.run()
    assert standing(campaign) == "over"


def test_an_urgent_job_of_somebody_else_overtakes(campaign: Campaign) -> None:
    campaign.market.with_backend("runway", slots=1)
    campaign.enter(*keys("a", "b", "c", backend="runway"))
    Campaign(campaign.market, name="news").enter(*keys("now", backend="runway", priority="high"))
    batch = campaign.market.pipeline.next_batch()
    assert batch is not None and batch.job_ids == ("news-now", "spring-a")


def test_no_more_jobs_of_a_campaign_go_at_once_than_it_says(everywhere: Campaign) -> None:
    everywhere.enter(*keys("a", "b", "c"), in_flight=2)
    first = everywhere.market.pipeline.next_batch()
    assert first is not None and len(first.job_ids) == 2
    everywhere.market.pipeline.carry(first.job_ids, run_id="run-b")
    assert everywhere.market.pipeline.next_batch() is None
    everywhere.market.pipeline.settle("run-b")
    everywhere.market.age("queue", "due_at")
    assert everywhere.market.pipeline.next_batch() is not None


def test_a_campaign_that_was_enlisted_without_a_source_can_be_paused_too(campaign: Campaign) -> None:
    campaign.market.pipeline.enlist([{"prompt": "a", "seconds": 1}], campaign="spring", amount=1_000_000, by="ann")
    assert say(campaign, "paused").fresh
    assert campaign.market.pipeline.next_batch() is None


@pytest.mark.parametrize("word", ["paused", "resumed", "cancelled"])
def test_a_campaign_nobody_knows_is_refused(campaign: Campaign, word: Word) -> None:
    with pytest.raises(JobUnknown, match="campaign spring is not in the ledger"):
        say(campaign, word)


def test_every_word_to_a_campaign_is_told(campaign: Campaign) -> None:
    campaign.enter(*keys("a"))
    for word in ("paused", "resumed", "cancelled"):
        say(campaign, word)
        assert campaign.market.events(f"campaign_{word}")[0] == {"by": "ann", "campaign": "spring"}
