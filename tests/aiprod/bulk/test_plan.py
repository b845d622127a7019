"""A plan costs nothing, writes nothing, and says what approving it would do."""

from __future__ import annotations

from decimal import Decimal

import pytest

from aiprod.errors import SpecError
from aiprod.models import USD
from tests.aiprod.bulk.campaign import Campaign, keys

#: One second at Runway in the scripted catalogue, and one at every vendor.
ONE, MOST = 120_000, 620_000


def test_it_writes_nothing_and_asks_no_vendor(everywhere: Campaign) -> None:
    made = everywhere.plan(*keys("a", "b"))
    assert [row.change for row in made.rows] == ["new", "new"]
    assert [everywhere.market.count(table) for table in ("jobs", "caps", "campaigns", "purchases")] == [0, 0, 0, 0]
    assert everywhere.market.accepts() == []


def test_it_tells_the_price_range_and_asks_for_the_worst_case(campaign: Campaign) -> None:
    made = campaign.plan(*keys("a", "b"))
    assert (made.expected, made.worst_case, made.amount) == (2 * ONE, 2 * MOST, 2 * MOST)
    assert made.asks and made.approved is None


def test_it_asks_for_no_more_than_the_campaigns_budget_nor_than_a_rows_own(campaign: Campaign) -> None:
    assert campaign.plan(*keys("a", "b"), budget=500_000).amount == 500_000
    assert campaign.plan(*keys("a", budget_usd="0.20"), *keys("b")).amount == 200_000 + MOST


def test_it_counts_the_rows_that_todays_money_and_the_campaigns_reach(campaign: Campaign) -> None:
    campaign.market.with_budgets(day_usd=Decimal("0.30"), day_warn_usd=Decimal("0.30"))
    made = campaign.plan(*keys("a", "b", "c", "d"), budget=3 * ONE)
    assert (made.today_left, made.fits_today, made.fits_campaign) == (300_000, 2, 3)


def test_a_row_that_cannot_be_made_is_named_and_the_others_stay(campaign: Campaign) -> None:
    rows = [*keys("a"), *keys("b", seconds=500), *keys("c", preset="premium_spot"), *keys("d", preset="none"), *keys("e")]
    made = campaign.plan(*rows)
    assert [row.key for row in made.rows] == ["a", "e"]
    assert [str(problem).split(":")[0] for problem in made.problems] == ["line 2", "line 3", "line 4"]
    assert "asks a person about every video" in made.problems[1].message


def test_orders_that_stand_there_twice_are_told_and_not_refused(campaign: Campaign) -> None:
    made = campaign.plan(*keys("a", "b", prompt="the same"))
    assert made.duplicates == ("line 2 (b) orders the same as line 1 (a); both are bought",)
    assert len(made.to_enter) == 2


def test_two_videos_never_get_one_name(campaign: Campaign) -> None:
    made = campaign.plan(*keys("a", "A!", "b"), naming="{preset}-{row}.mp4")
    assert [row.key for row in made.rows] == ["a", "b"]
    assert "would be called campaigns/quick_social-A.mp4, like that of line 1" in made.problems[0].message


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"naming": "{who}.mp4"}, "naming: {who} is not known"),
        ({"in_flight": 0}, "in_flight: must be at least 1"),
        ({"budget": -1}, "budget: must not be negative"),
        ({"campaign": "Spring!"}, "campaign: must be lower-case"),
        ({"defaults": {"sekonds": 4}}, "defaults: 'sekonds' is no field"),
    ],
)
def test_a_campaign_that_cannot_be_is_refused(campaign: Campaign, options: dict[str, object], why: str) -> None:
    campaign.name = str(options.pop("campaign", "spring"))
    with pytest.raises(SpecError, match=why):
        campaign.plan(*keys("a"), **options)


class TestAgain:
    def test_the_same_rows_again_ask_for_nothing(self, campaign: Campaign) -> None:
        campaign.enter(*keys("a", "b"))
        made = campaign.plan(*keys("a", "b"))
        assert (made.to_enter, made.asks, made.worst_case) == ((), False, 0)

    def test_an_added_row_asks_for_what_it_may_cost_on_top(self, campaign: Campaign) -> None:
        campaign.enter(*keys("a"))
        made = campaign.plan(*keys("a", "b"))
        assert [row.change for row in made.rows] == ["same", "new"]
        assert made.asks and (made.amount, made.approved) == (2 * MOST, MOST)

    def test_an_added_row_within_what_was_approved_asks_nobody(self, campaign: Campaign) -> None:
        campaign.enter(*keys("a", "b"))
        campaign.run()
        made = campaign.plan(*keys("a", "b", "c"))
        assert made.amount == 2 * ONE + MOST and not made.asks

    def test_a_changed_row_takes_the_money_of_the_one_it_replaces(self, campaign: Campaign) -> None:
        campaign.enter(*keys("a"))
        made = campaign.plan(*keys("a", prompt="another"))
        assert [row.change for row in made.rows] == ["changed"]
        assert made.amount == MOST and not made.asks

    def test_what_was_sent_for_a_job_that_is_given_up_may_still_be_billed(self, everywhere: Campaign) -> None:
        prompt = "a lake [[runway=hang]]"
        everywhere.enter(*keys("a", prompt=prompt))
        everywhere.market.pipeline.carry(["spring-a"], run_id="run-b")
        everywhere.market.pipeline.route(["spring-a"], 1)
        held = everywhere.plan(*keys("a", prompt=prompt, quality_floor=0.7))
        everywhere.market.render(job_id="spring-a")
        sent = everywhere.plan(*keys("a", prompt=prompt, quality_floor=0.7))
        assert (held.amount, sent.amount) == (held.worst_case, ONE + sent.worst_case)

    def test_a_version_that_another_job_replaces_is_paid_for_by_nobody(self, campaign: Campaign) -> None:
        campaign.enter(*keys("a"))
        campaign.run()
        campaign.enter(*keys("a", prompt="another"))
        made = campaign.plan(*keys("a", prompt="another", quality_floor=0.7))
        campaign.enter(*keys("a", prompt="another", quality_floor=0.7))
        campaign.run("run-c")
        assert made.amount == ONE + made.worst_case
        assert campaign.market.balance("campaign", "spring").settled == 2 * ONE


def test_plans_that_ask_for_the_same_are_the_same_and_others_are_not(campaign: Campaign) -> None:
    first = campaign.plan(*keys("a"))
    assert first.sha == campaign.plan(*keys("a")).sha
    assert len({first.sha, campaign.plan(*keys("b")).sha, campaign.plan(*keys("a"), budget=1 * USD // 10).sha}) == 3
