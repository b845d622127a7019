"""What a changed row comes to depends on what changed, and on what there is already."""

from __future__ import annotations

from typing import Any

import pytest

from aiprod.bulk.changing import change_of
from aiprod.ledger import campaigns
from aiprod.models import JobSpec
from tests.aiprod.bulk.campaign import Campaign, keys


def kind(campaign: Campaign, **more: Any) -> str:
    with campaign.market.ledger.read() as conn:
        before = campaigns.rows(conn, "spring", ["a"])
    order = JobSpec.parse({"prompt": "a", "seconds": 1, **more})
    return change_of(campaign.market.ledger, campaign.market.catalog, before, order).kind


@pytest.mark.parametrize(
    ("more", "waiting", "delivered"),
    [
        ({"prompt": "b"}, "version", "version"),
        ({"aspect_ratio": "9:16"}, "version", "version"),
        ({"backend": "veo3"}, "job", "job"),
        ({"priority": "high"}, "job", "same"),
        ({"budget_usd": 4}, "job", "same"),
        ({"prompt": "b", "budget_usd": 4}, "job", "job"),
    ],
)
def test_words_are_a_version_terms_another_job_and_how_it_is_bought_no_reason_to_buy_it_again(
    campaign: Campaign, more: dict[str, Any], waiting: str, delivered: str
) -> None:
    campaign.enter(*keys("a"))
    assert kind(campaign, **more) == waiting
    campaign.run()
    assert kind(campaign, **more) == delivered


def test_the_same_in_other_words_is_the_same(campaign: Campaign) -> None:
    campaign.enter(*keys("a"))
    assert kind(campaign, prompt=None, seconds=None, shots=[{"prompt": "a", "seconds": 1}]) == "same"


def test_a_job_that_was_cancelled_by_hand_is_replaced(campaign: Campaign) -> None:
    campaign.enter(*keys("a"))
    campaign.market.pipeline.cancel("spring-a", by="eve")
    assert kind(campaign, prompt="b") == "job"


def test_a_row_goes_back_to_the_job_that_has_its_video(campaign: Campaign) -> None:
    campaign.enter(*keys("a"))
    campaign.run()
    campaign.enter(*keys("a", backend="veo3"))
    assert kind(campaign) == "back"
    assert kind(campaign, prompt="b") == "version"
