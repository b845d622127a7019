"""A new version of a row's job buys what it does not have yet, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aiprod.bulk.revising import draft, enter_version
from aiprod.errors import JobMoved
from aiprod.ledger import results
from aiprod.ledger.engine import now as database_now
from aiprod.models import JobSpec, ShotSpec
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


def seeded(*prompts: str) -> dict[str, Any]:
    """The same with a seed that the order chose."""
    return story(shots=[{"prompt": p, "seconds": 1, "seed": 7} for p in prompts])


def test_identical_shots_with_an_ordered_seed_go_on_using_their_one_take(everywhere: Campaign) -> None:
    everywhere.enter(seeded("a lake", "a hut", "a lake"))
    everywhere.run()
    assert len(everywhere.market.accepts()) == 2
    assert everywhere.plan(seeded("a lake", "a storm", "a lake")).to_enter[0].again == 2
    everywhere.enter(seeded("a lake", "a storm", "a lake"))
    assert everywhere.run("run-c") == ["spring-a"]
    assert len(everywhere.market.accepts()) == 3


def test_a_shot_that_was_made_again_keeps_its_new_take_though_an_identical_one_has_the_old(campaign: Campaign) -> None:
    campaign.enter(seeded("a lake", "a hut", "a lake"))
    campaign.run()
    pipeline = campaign.market.pipeline
    pipeline.redo("spring-a", shots=[3], change=None, base_version=1, by="ann")
    pipeline.carry(["spring-a"], run_id="run-again")
    assert pipeline.ask("spring-a", run_id="run-again").answer == "approved"
    campaign.market.run("spring-a")
    pipeline.settle("run-again")
    (again,) = campaign.market.purchases("spring-a", version=2)
    campaign.enter(seeded("a storm", "a hut", "a lake"))
    with campaign.market.ledger.read() as conn:
        assert results.reuses_of(conn, "spring-a", 3)[3].take_id == again.purchase_id


def test_a_take_that_another_job_bought_is_looked_up_like_any_other(campaign: Campaign) -> None:
    """A ledger may have such takes from before they were no longer used."""
    campaign.enter(story("a lake"), {**story("a lake"), "key": "b"})
    campaign.run()
    campaign.market.sql("UPDATE takes SET job_id = 'spring-b' WHERE job_id = 'spring-a'")
    campaign.market.sql(
        "INSERT INTO reuses (job_id, version, shot, take_id, saved) "
        "SELECT 'spring-a', 1, 1, purchase_id, hold FROM purchases WHERE job_id = 'spring-b'"
    )
    assert campaign.plan(story("a lake", "a hut")).to_enter[0].again == 1


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


def test_a_draft_that_a_run_overtook_is_not_written(campaign: Campaign) -> None:
    """Between the draft and the transaction that writes it: what was made meanwhile would be bought again."""
    ledger, catalog = campaign.market.ledger, campaign.market.catalog
    campaign.enter(story("a lake"))
    shots = tuple(ShotSpec(prompt=words, seconds=1) for words in ("a lake", "a hut"))
    drafted = draft(ledger, catalog, "spring-a", JobSpec(shots=shots))
    campaign.run()
    with ledger.write() as conn, pytest.raises(JobMoved, match="went on in the same moment"):
        enter_version(
            conn, catalog, drafted, campaign="spring", by="ann", ordered_by=None, valid=timedelta(days=1), now=database_now(conn)
        )
    assert versions(campaign) == 1


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
