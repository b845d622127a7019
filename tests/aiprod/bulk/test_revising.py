"""A new version of a row's job buys what it does not have yet, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from aiprod.bulk.revising import draft
from aiprod.errors import JobMoved
from aiprod.models import JobSpec
from tests.aiprod.bulk.campaign import Campaign


def story(*prompts: str, **more: Any) -> dict[str, Any]:
    """A row with one shot of a second for each prompt."""
    return {"key": "a", "prompt": None, "seconds": None, "shots": [{"prompt": p, "seconds": 1} for p in prompts], **more}


def versions(campaign: Campaign) -> int:
    return campaign.market.count("manifests")


def test_takes_of_shots_that_stay_are_used_again_for_nothing_wherever_they_stand_now(campaign: Campaign) -> None:
    campaign.enter(story("a lake", "a hut"))
    campaign.run()
    made = campaign.plan(story("a storm", "a lake"))
    (row,) = made.to_enter
    whole = campaign.plan({**story("a storm", "a lake"), "key": "b"}).to_enter[0]
    assert (row.change, row.again, row.expected) == ("changed", 1, whole.expected // 2)
    campaign.enter(story("a storm", "a lake"))
    assert campaign.run("run-c") == ["spring-a"]
    assert len(campaign.market.accepts()) == 3


def test_takes_of_any_earlier_version_are_used_again(campaign: Campaign) -> None:
    for n, prompts in enumerate((["a lake", "a hut"], ["a storm", "a hut"], ["a lake", "a storm"])):
        campaign.enter(story(*prompts))
        assert campaign.run(f"run-{n}") == ["spring-a"]
    assert len(campaign.market.accepts()) == 3


def test_one_take_is_not_used_for_two_shots(campaign: Campaign) -> None:
    campaign.enter(story("a lake"))
    campaign.run()
    assert campaign.plan(story("a lake", "a lake")).to_enter[0].again == 1


def test_another_shape_uses_nothing_again(campaign: Campaign) -> None:
    campaign.enter(story("a lake"))
    campaign.run()
    assert campaign.plan(story("a lake", aspect_ratio="9:16")).to_enter[0].again == 0


def test_a_paid_clip_that_nobody_judged_yet_is_not_bought_again(campaign: Campaign) -> None:
    campaign.enter(story("a lake", "a hut"))
    campaign.market.pipeline.carry(["spring-a"], run_id="run-b")
    campaign.market.pipeline.route(["spring-a"], 1)
    campaign.market.render(job_id="spring-a")
    campaign.market.pipeline.settle("run-b")
    (row,) = campaign.plan(story("a lake", "a storm")).rows
    assert (row.change, "shot 1 is paid at runway and not judged yet" in row.why) == ("later", True)
    assert campaign.plan(story("a storm")).to_enter[0].change == "changed", "that clip is not wanted any more"


def test_a_version_that_was_drafted_before_a_run_is_not_written_after_it(campaign: Campaign) -> None:
    campaign.enter(story("a lake"))
    made = campaign.plan(story("a lake", "a hut"))
    campaign.run()
    from aiprod.bulk import entering

    entering.approve(campaign.market.ledger, campaign.market.catalog, made, by="ann")
    entering.enter(campaign.market.ledger, campaign.market.catalog, made)
    campaign.run("run-c")
    assert len(campaign.market.accepts()) == 2, "the lake that was made in between is not bought twice"


def test_a_job_that_a_run_carries_has_no_new_version(campaign: Campaign) -> None:
    campaign.enter(story("a lake"))
    campaign.market.pipeline.carry(["spring-a"], run_id="run-b")
    with pytest.raises(JobMoved, match="job spring-a is being made"):
        draft(campaign.market.ledger, campaign.market.catalog, "spring-a", JobSpec(prompt="a hut"))
    assert versions(campaign) == 1


def test_a_run_of_the_old_version_that_is_settled_again_leaves_the_new_one_in_the_queue(campaign: Campaign) -> None:
    campaign.enter(story("a lake"))
    campaign.run()
    campaign.enter(story("a hut"))
    campaign.market.pipeline.settle("run-b")
    assert campaign.run("run-c") == ["spring-a"]
