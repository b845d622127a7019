"""What was approved is entered once: the same rows again buy nothing, and a changed row buys what it says now."""

from __future__ import annotations

import pytest

from aiprod import cancelling
from aiprod.bulk import entering
from aiprod.bulk.entering import Entered
from aiprod.errors import JobFailed, SamePerson
from aiprod.models import USD
from tests.aiprod.bulk.campaign import Campaign, keys


def test_the_same_source_again_buys_nothing(everywhere: Campaign) -> None:
    assert everywhere.enter(*keys("a", "b")) == Entered(new=2)
    assert everywhere.run() == ["spring-a", "spring-b"]
    assert everywhere.enter(*keys("a", "b")) == Entered(same=2)
    assert everywhere.market.pipeline.next_batch() is None
    assert len(everywhere.market.accepts()) == 2


def test_added_rows_are_picked_up_and_rows_that_are_gone_stay(campaign: Campaign) -> None:
    campaign.enter(*keys("a", "b"))
    assert campaign.enter(*keys("b", "c")) == Entered(new=1, same=1)
    assert campaign.run() == ["spring-a", "spring-b", "spring-c"]


def test_a_changed_row_is_a_new_version_of_its_job_and_bought_as_it_is_now(everywhere: Campaign) -> None:
    everywhere.enter(*keys("a", "b"))
    assert everywhere.enter(*keys("a", prompt="another"), *keys("b")) == Entered(changed=1, same=1)
    assert everywhere.run() == ["spring-a", "spring-b"]
    assert everywhere.market.count("jobs") == len(everywhere.market.accepts()) == 2
    assert everywhere.market.count("deliveries WHERE job_id = 'spring-a' AND version = 2") == 1


def test_a_delivered_row_that_changed_is_bought_anew_and_its_old_video_stays(campaign: Campaign) -> None:
    campaign.enter(*keys("a"))
    campaign.run()
    assert campaign.enter(*keys("a", prompt="another")) == Entered(changed=1)
    assert campaign.enter(*keys("a", prompt="another")) == Entered(same=1)
    assert campaign.run("run-c") == ["spring-a"]
    assert (campaign.market.count("jobs"), campaign.market.count("deliveries")) == (1, 2)
    assert len(campaign.market.accepts()) == 2


def test_a_row_that_is_again_what_it_was_buys_nothing(campaign: Campaign) -> None:
    campaign.enter(*keys("a"))
    campaign.run()
    campaign.enter(*keys("a", prompt="another"))
    assert campaign.enter(*keys("a")) == Entered(changed=1)
    assert campaign.run("run-c") == ["spring-a"], "its takes are there: they are cut together again"
    assert len(campaign.market.accepts()) == 1


def test_a_row_whose_terms_changed_is_another_job_and_what_the_old_one_holds_is_given_back(campaign: Campaign) -> None:
    campaign.enter(*keys("a"))
    campaign.market.pipeline.carry(["spring-a"], run_id="run-b")
    campaign.market.pipeline.route(["spring-a"], 1)
    assert campaign.market.balance("campaign", "spring").reserved > 0
    assert campaign.enter(*keys("a", backend="veo3")) == Entered(changed=1)
    assert campaign.market.balance("campaign", "spring").reserved == 0
    assert campaign.market.count("jobs WHERE job_id = 'spring-a' AND cancelled_by = 'ann: the row changed'") == 1
    assert campaign.run("run-c") == ["spring-a-r2"]


def test_a_version_that_waits_is_not_bought_when_another_job_takes_over_though_an_earlier_one_is_delivered(
    everywhere: Campaign,
) -> None:
    everywhere.enter(*keys("a"))
    everywhere.run()
    everywhere.enter(*keys("a", prompt="another"))
    assert everywhere.enter(*keys("a", prompt="another", quality_floor=0.7)) == Entered(changed=1)
    assert everywhere.market.count("queue WHERE job_id = 'spring-a'") == 0
    assert everywhere.run("run-c") == ["spring-a-r3"]
    assert everywhere.market.pipeline.next_batch() is None
    assert len(everywhere.market.accepts()) == 2
    assert everywhere.market.count("deliveries WHERE job_id = 'spring-a' AND version = 1") == 1, "its first video stays"


def test_a_version_that_waits_is_replaced_when_only_how_it_is_bought_changes(campaign: Campaign) -> None:
    """What is delivered is another video: it is no reason to buy this one by the terms of before."""
    campaign.enter(*keys("a"))
    campaign.run()
    campaign.enter(*keys("a", prompt="another"))
    campaign.enter(*keys("a", prompt="another", budget_usd=4))
    assert campaign.run("run-c") == ["spring-a-r3"]
    assert len(campaign.market.accepts()) == 2


def test_a_row_that_changed_while_it_is_made_waits_and_is_picked_up_by_the_next_run(everywhere: Campaign) -> None:
    everywhere.enter(*keys("a"))
    everywhere.market.pipeline.carry(["spring-a"], run_id="run-b")
    entered = everywhere.enter(*keys("a", prompt="another"))
    line = "line 1 (a): job spring-a is being made; its change is picked up by the next run"
    assert entered == Entered(later=(line,))
    everywhere.market.run("spring-a")
    everywhere.market.pipeline.assemble(["spring-a"])
    everywhere.market.pipeline.deliver(["spring-a"])
    everywhere.market.pipeline.settle("run-b")
    assert everywhere.enter(*keys("a", prompt="another")) == Entered(changed=1)
    assert everywhere.run("run-c") == ["spring-a"]
    assert everywhere.market.count("deliveries") == 2


def test_a_job_that_went_on_since_the_plan_was_shown_is_left_alone(campaign: Campaign) -> None:
    campaign.enter(*keys("a"))
    made = campaign.plan(*keys("a", prompt="another"))
    entering.approve(campaign.market.ledger, campaign.market.catalog, made, by="ann")
    campaign.market.pipeline.carry(["spring-a"], run_id="run-b")
    entered = entering.enter(campaign.market.ledger, campaign.market.catalog, made)
    assert (entered.changed, len(entered.later), campaign.market.count("manifests")) == (0, 1, 1)


def test_who_was_killed_before_a_replaced_job_was_cleared_up_holds_nothing_for_ever(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The flag is in the transaction of the new row: nothing more is ever sent for the old one."""
    campaign.enter(*keys("a"))

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cancelling, "cancel_job", killed)
        with pytest.raises(KeyboardInterrupt):
            campaign.enter(*keys("a", backend="veo3"))
    assert campaign.enter(*keys("a", backend="veo3")) == Entered(same=1)
    assert campaign.run() == ["spring-a-r2"]
    assert len(campaign.market.accepts()) == 1


def test_nothing_is_entered_that_nobody_approved(campaign: Campaign) -> None:
    made = campaign.plan(*keys("a"))
    with pytest.raises(JobFailed, match=r"nobody approved \$0.62; nothing was entered"):
        entering.enter(campaign.market.ledger, campaign.market.catalog, made)
    campaign.enter(*keys("a"))
    more = campaign.plan(*keys("a", "b"))
    with pytest.raises(JobFailed, match=r"nobody approved \$1.24"):
        entering.enter(campaign.market.ledger, campaign.market.catalog, more)
    assert campaign.market.count("jobs") == 1


def test_a_higher_amount_is_approved_by_name_and_a_lower_one_changes_nothing(campaign: Campaign) -> None:
    campaign.enter(*keys("a", "b"), by="ann")
    campaign.enter(*keys("a", "b", "c"), by="bob")
    assert campaign.market.balance("campaign", "spring").cap == 3 * 620_000
    assert campaign.market.count("approvals WHERE answered_by = 'bob'") == 1
    assert entering.approve(campaign.market.ledger, campaign.market.catalog, campaign.plan(*keys("z")), by="eve") >= 3 * 620_000
    assert [event["by"] for event in campaign.market.events("budget_set")] == ["bob", "eve"]


def test_a_row_that_can_not_be_made_any_more_is_told_and_stops_no_other(campaign: Campaign) -> None:
    made = campaign.plan(*keys("a"), *keys("b", seconds=9))
    entering.approve(campaign.market.ledger, campaign.market.catalog, made, by="ann")
    campaign.market.with_preset(max_seconds=5)
    entered = entering.enter(campaign.market.ledger, campaign.market.catalog, made)
    assert entered.new == 1 and entered.refused[0].startswith("line 2 (b): seconds: ")
    assert campaign.market.count("jobs") == 1, "a refused row leaves nothing behind"


@pytest.mark.parametrize("key", ["Row 1", "x" * 100, "ключ", "-"])
def test_a_key_that_is_no_name_still_names_its_job_for_ever(campaign: Campaign, key: str) -> None:
    campaign.enter(*keys(key, prompt="a lake"))
    assert campaign.enter(*keys(key, prompt="a lake")) == Entered(same=1)
    assert campaign.market.count("jobs") == 1


def test_names_that_run_together_are_two_jobs(campaign: Campaign) -> None:
    campaign.options = {"naming": "{row}/{revision}.mp4"}
    campaign.enter(*keys("a-r2", "a"))
    campaign.enter(*keys("a-r2"), *keys("a", backend="veo3"))
    other = Campaign(campaign.market, name="spring-a")
    other.enter(*keys("r2"))
    assert campaign.market.count("jobs") == 4


def test_a_plan_that_was_kept_is_the_plan_that_is_read(campaign: Campaign) -> None:
    made = campaign.plan(*keys("a", budget_usd="1.23", shots=None), budget=5 * USD, defaults={"audio": False})
    place = entering.keep(campaign.storage, made)
    assert entering.keep(campaign.storage, made) == place
    assert entering.kept(campaign.storage, place) == made


class TestTwoPeople:
    def test_who_asks_for_a_campaign_does_not_approve_it_where_a_preset_wants_two(self, campaign: Campaign) -> None:
        campaign.market.with_preset(approver_differs=True)
        for by in ("Ann", "somebody"):
            with pytest.raises(SamePerson):
                campaign.enter(*keys("a"), by=by, asked_by="ann")
        assert (campaign.market.count("caps"), campaign.market.count("jobs")) == (0, 0)
        assert campaign.enter(*keys("a"), by="bob", asked_by="ann") == Entered(new=1)
        assert campaign.market.count("jobs WHERE created_by = 'ann'") == 1

    def test_an_amount_that_one_approved_before_does_not_cover_rows_of_their_own(self, campaign: Campaign) -> None:
        campaign.enter(*keys("a", "b"), by="ann")
        campaign.run()
        campaign.market.with_preset(approver_differs=True)
        with pytest.raises(SamePerson, match="ann ordered campaign spring"):
            campaign.enter(*keys("a", "b", "c"), by="bob", asked_by="ann")
