"""What was approved is what is bought: edits come before, redos after, and a redo pays for its own shots only."""

from __future__ import annotations

from typing import Any

import pytest

from aiprod.editing import Edited, ManifestEdit, changes
from aiprod.errors import JobMoved, SpecError
from aiprod.ledger import results
from aiprod.models import ShotSpec, Verdict
from tests.desk import manifest, race_of_processes
from tests.market import RUN, Market

TWO = [{"prompt": "a lake", "seconds": 1}, {"prompt": "a boat", "seconds": 1}]


def shots(*prompts: str) -> tuple[ShotSpec, ...]:
    return tuple(ShotSpec(prompt=prompt, seconds=1) for prompt in prompts)


def edit(market: Market, *prompts: str, base: int = 1, by: str = "ann", **words: Any) -> Edited:
    change = ManifestEdit(shots=shots(*prompts), **words)
    return market.pipeline.edit("job-1", change, base_version=base, by=by)


def redo(market: Market, *numbers: int, base: int = 1, change: dict[int, ShotSpec] | None = None) -> Edited:
    return market.pipeline.redo("job-1", shots=numbers, change=change, base_version=base, by="ann")


def finish(market: Market, run_id: str = RUN) -> Any:
    market.run("job-1")
    market.pipeline.assemble(["job-1"])
    (delivery,) = market.pipeline.deliver(["job-1"])
    market.pipeline.settle(run_id)
    return delivery


def delivered(market: Market) -> Any:
    """Two shots, ordered, made and delivered."""
    market.approved(shots=TWO)
    return finish(market)


def again(market: Market, version: int = 2) -> None:
    """A run carries the newest version, and the preset approves it."""
    run_id = f"job-1.v{version}"
    assert market.pipeline.carry(["job-1"], run_id=run_id) == ["job-1"]
    assert market.pipeline.ask("job-1", run_id=run_id).answer == "approved"


class TestEdit:
    @pytest.fixture
    def asked(self, local_market: Market) -> Market:
        """A person is asked about two shots."""
        local_market.order(shots=TWO, preset="brand_campaign")
        local_market.pipeline.spend_question("job-1", run_id=RUN, task_id="approve")
        return local_market

    def test_its_price_is_told_before_it_is_saved_and_is_the_one_that_is_saved(self, asked: Market) -> None:
        change = ManifestEdit(shots=(*shots("a lake"), ShotSpec(prompt="a ship", seconds=3)))
        before = asked.pipeline.view("job-1")
        told = asked.pipeline.reprice("job-1", change, base_version=1)
        assert asked.pipeline.view("job-1").revision == before.revision, "nothing is written"
        assert before.approval is not None and (told.before, told.asked) == (before.estimate, before.approval.amount)
        saved = asked.pipeline.edit("job-1", change, base_version=1, by="ann")
        after = asked.pipeline.view("job-1")
        assert after.approval is not None and (told.after, told.changes) == (saved.estimate, saved.changes)
        assert told.amount == after.approval.amount > told.asked and not told.automatic

    def test_an_edit_that_changes_nothing_costs_what_it_cost(self, asked: Market) -> None:
        told = asked.pipeline.reprice("job-1", ManifestEdit(shots=shots("a lake", "a boat")), base_version=1)
        assert (told.changes, told.after, told.amount) == ((), told.before, told.asked)

    def test_what_can_be_edited_no_more_has_no_price(self, asked: Market) -> None:
        edit(asked, "a lake", "a ship")
        with pytest.raises(JobMoved):
            asked.pipeline.reprice("job-1", ManifestEdit(shots=shots("a lake", "a kite")), base_version=1)

    def test_an_edit_is_a_new_version_with_its_price_and_who_changed_what(self, asked: Market) -> None:
        before = asked.pipeline.view("job-1").approval
        made = edit(asked, "a lake", "a boat", "a pier", aspect_ratio="9:16")
        seen = asked.pipeline.view("job-1")
        assert (made.version, seen.version, seen.status, seen.manifest) == (2, 2, "waiting_approval", made.manifest)
        assert made.changes == ("The picture is 9:16 instead of 16:9.", "Shot 3 is new.")
        assert [(v.created_by, v.changes) for v in seen.versions][1] == ("ann", made.changes)
        assert before is not None and seen.approval is not None
        assert seen.approval.amount == before.amount * 3 // 2 == made.estimate.worst_case

    def test_the_answer_in_airflow_is_about_what_was_shown_there_and_does_not_count_any_more(self, asked: Market) -> None:
        edit(asked, "a lake", "a ship")
        with pytest.raises(JobMoved, match="job-1 is at version 2; the answer was about version 1"):
            asked.pipeline.answer_spend("job-1", "approved", by="bob", run_id=RUN, task_id="approve")
        assert asked.count("approvals") == 0

    def test_an_approval_of_the_edit_lets_the_parked_run_go_on(self, asked: Market) -> None:
        """The run was parked with version 1; the API approves version 2 and then answers Airflow."""
        amount = edit(asked, "a lake", "a ship").estimate.worst_case
        asked.pipeline.answer_money("job-1", "approved", version=2, amount=amount, by="bob")
        assert asked.pipeline.ask("job-1", run_id=RUN).answer == "approved"
        asked.run("job-1")
        assert [p.version for p in asked.purchases(version=2)] == [2, 2] and asked.purchases() == []
        assert asked.pipeline.settle(RUN) == ["job-1: failed, 0 unused holds given back"]

    @pytest.mark.parametrize("base", [0, 2])
    def test_a_change_of_another_version_than_the_newest_is_refused(self, asked: Market, base: int) -> None:
        with pytest.raises(JobMoved, match=f"at version 1; the change was made on version {base}"):
            edit(asked, "a lake", base=base)

    def test_what_is_approved_cannot_be_edited(self, local_market: Market) -> None:
        local_market.approved(shots=TWO)
        with pytest.raises(JobMoved, match="cannot be edited any more"):
            edit(local_market, "a lake")

    def test_what_was_approved_with_its_campaign_cannot_be_edited(self, local_market: Market) -> None:
        order = {"job_id": "job-1", "prompt": "a lake"}
        local_market.pipeline.enlist([order], campaign="spring", amount=10**8, by="ann")
        with pytest.raises(JobMoved, match="job-1 is approved"):
            edit(local_market, "a boat")

    def test_an_edit_of_nothing_and_one_that_nobody_can_make_are_refused(self, asked: Market) -> None:
        with pytest.raises(SpecError, match="nothing is changed"):
            edit(asked, "a lake", "a boat")
        with pytest.raises(SpecError, match="no backend can make shot 1"):
            edit(asked, "a lake", aspect_ratio="4:3")
        with pytest.raises(SpecError, match=r"seconds: 125 s asked, but preset brand_campaign allows 120 s"):
            asked.pipeline.edit("job-1", ManifestEdit(shots=(ShotSpec(prompt="a"),) * 25), base_version=1, by="ann")
        assert asked.pipeline.view("job-1").version == 1

    def test_of_two_who_edit_the_same_version_at_once_one_is_told(self, market: Market) -> None:
        market.order(shots=TWO, preset="brand_campaign")
        heard = race_of_processes(2, lambda n: edit(market, f"by {n}").version)
        assert sorted(map(str, heard)) == ["2", "JobMoved"]

    def test_an_edit_says_what_is_wrong_with_it_by_field(self) -> None:
        with pytest.raises(SpecError) as refused:
            ManifestEdit.parse({"shots": [{"prompt": "", "colour": "red"}], "aspect_ratio": "2:1"})
        assert [problem.split(":")[0] for problem in refused.value.problems] == [
            "shots.0.prompt",
            "shots.0.colour",
            "aspect_ratio",
        ]


class TestRedo:
    def test_one_shot_is_made_again_and_the_others_cost_nothing(self, local_market: Market) -> None:
        first = delivered(local_market)
        made = redo(local_market, 2, change={2: ShotSpec(prompt="a ship", seconds=1)})
        assert local_market.pipeline.view("job-1").status == "created"
        assert made.changes == ("Shot 2 shows something else.", "Shot 2 is made again.")
        assert {line.shot for line in made.estimate.lines} == {2}
        again(local_market)
        second = finish(local_market, "job-1.v2")
        assert len(local_market.accepts()) == 3
        (bought,) = local_market.purchases(version=2)
        assert (bought.shot, second.cost) == (2, bought.charged)
        seen = local_market.pipeline.view("job-1")
        assert [(s.status, s.reused_from) for s in seen.shots] == [("reused", 1), ("accepted", None)]
        assert seen.costs.saved == made.estimate.expected and seen.costs.charged == first.cost + second.cost
        assert seen.status == "delivered"
        assert second.video.path != first.video.path

    def test_the_money_asked_for_is_that_of_the_redo(self, local_market: Market) -> None:
        delivered(local_market)
        made = redo(local_market, 1)
        local_market.pipeline.carry(["job-1"], run_id="job-1.v2")
        assert local_market.pipeline.ask("job-1", run_id="job-1.v2").amount == made.estimate.worst_case
        assert made.estimate.worst_case * 2 == local_market.pipeline.view("job-1").versions[0].worst_case

    def test_a_shot_used_again_is_never_routed_however_often_it_is_tried(self, local_market: Market) -> None:
        delivered(local_market)
        redo(local_market, 2)
        again(local_market)
        for round in (1, 2, 3):
            local_market.pipeline.route(["job-1"], round)
        assert [p.shot for p in local_market.purchases(version=2)] == [2]

    def test_what_was_rejected_or_vetoed_is_bought_again_though_nobody_named_it(self, local_market: Market) -> None:
        delivered(local_market)
        with local_market.ledger.read() as conn:
            take = results.reusable(conn, "job-1", 1)[1].take.take_id
        local_market.sql("UPDATE qa_reports SET verdict = :v WHERE take_id = :t", v=Verdict.REJECTED.value, t=take)
        assert {line.shot for line in redo(local_market, 2).estimate.lines} == {1, 2}
        assert local_market.count("reuses") == 0

    def test_a_redo_of_a_redo_uses_the_takes_of_both(self, local_market: Market) -> None:
        delivered(local_market)
        redo(local_market, 2)
        again(local_market)
        finish(local_market, "job-1.v2")
        redo(local_market, 1, base=2)
        seen = local_market.pipeline.view("job-1")
        assert [s.reused_from for s in seen.shots] == [None, 2]
        again(local_market, 3)
        finish(local_market, "job-1.v3")
        assert len(local_market.accepts()) == 4

    def test_a_redo_after_one_that_was_refused_loses_no_take(self, local_market: Market) -> None:
        """The second version has no take of shot 2; the first one has, and it is the very same shot."""
        delivered(local_market)
        asked = redo(local_market, 2).estimate.worst_case
        local_market.pipeline.answer_money("job-1", "rejected", version=2, amount=asked, by="bob")
        made = redo(local_market, 1, base=2)
        assert {line.shot for line in made.estimate.lines} == {1}
        assert [s.reused_from for s in local_market.pipeline.view("job-1").shots] == [None, 1]

    def test_a_take_of_what_a_shot_showed_before_is_not_used_for_what_it_shows_now(self, local_market: Market) -> None:
        delivered(local_market)
        asked = redo(local_market, 2, change={2: ShotSpec(prompt="a ship", seconds=1)}).estimate.worst_case
        local_market.pipeline.answer_money("job-1", "rejected", version=2, amount=asked, by="bob")
        assert {line.shot for line in redo(local_market, 1, base=2).estimate.lines} == {1, 2}

    def test_an_edited_redo_keeps_the_takes_of_shots_that_stay(self, local_market: Market) -> None:
        local_market.order(shots=TWO)
        local_market.pipeline.ask("job-1", run_id=RUN)
        finish(local_market)
        redo(local_market, 2)
        made = edit(local_market, "a lake", "a ship", base=2)
        assert {line.shot for line in made.estimate.lines} == {2}
        edit(local_market, "a lake", "a ship", base=3, aspect_ratio="9:16")
        assert [s.reused_from for s in local_market.pipeline.view("job-1").shots] == [None, None]

    def test_a_job_that_is_not_over_cannot_be_made_again(self, local_market: Market) -> None:
        local_market.approved(shots=TWO)
        with pytest.raises(JobMoved, match="job job-1 is rendering"):
            redo(local_market, 1)

    def test_a_cancelled_job_cannot_be_made_again(self, local_market: Market) -> None:
        local_market.order(shots=TWO, preset="brand_campaign")
        local_market.pipeline.cancel("job-1", by="eve")
        with pytest.raises(JobMoved, match="job-1 is cancelled"):
            redo(local_market, 1)

    def test_an_erased_job_cannot_be_made_again(self, local_market: Market) -> None:
        delivered(local_market)
        row = {"job_id": "job-1", "erased_at": 1, "erased_by": "eve", "why": "asked to", "files": 4, "size": 1}
        local_market.sql("INSERT INTO erasures (job_id, erased_at, erased_by, why, files, size) "
                         "VALUES (:job_id, :erased_at, :erased_by, :why, :files, :size)", **row)  # fmt: skip
        with pytest.raises(JobMoved, match="job-1 is erased"):
            redo(local_market, 1)

    def test_a_shot_that_is_paid_and_not_judged_yet_is_not_bought_again(self, local_market: Market) -> None:
        delivered(local_market)
        with local_market.ledger.read() as conn:
            take = results.reusable(conn, "job-1", 1)[1].take.take_id
        local_market.sql("DELETE FROM qa_reports WHERE take_id = :t", t=take)
        local_market.sql("DELETE FROM deliveries")
        with pytest.raises(JobMoved, match=r"shot 1 is paid at .* and not judged yet"):
            redo(local_market, 2)

    def test_a_render_that_may_still_be_the_shot_is_waited_for(self, mute_market: Market) -> None:
        """Lost at Runway, made at Veo 3: the other one may still run, and its money is still held."""
        mute_market.approved("[[runway=lose]]")
        finish(mute_market)
        assert [state for _, state in mute_market.states()] == ["unknown", "succeeded"]
        with pytest.raises(JobMoved, match="shot 1 at runway waits for a person's word"):
            redo(mute_market, 1)

    @pytest.mark.parametrize(("numbers", "says"), [((), "say which shots"), ((3,), "there is no shot 3")])
    def test_shots_that_are_not_there_are_said(self, local_market: Market, numbers: tuple[int, ...], says: str) -> None:
        delivered(local_market)
        with pytest.raises(SpecError, match=says):
            redo(local_market, *numbers)
        with pytest.raises(SpecError, match=r"changes\.1: shot 1 is not made again"):
            redo(local_market, 2, change={1: ShotSpec(prompt="a")})

    def test_the_whole_job_is_never_dearer_than_its_budget(self, local_market: Market) -> None:
        local_market.with_preset(budget_usd="0.70")
        delivered(local_market)
        spent = local_market.balance().settled
        redo(local_market, 1)
        local_market.pipeline.carry(["job-1"], run_id="job-1.v2")
        assert local_market.pipeline.ask("job-1", run_id="job-1.v2").amount <= 700_000 - spent


def test_every_change_is_a_sentence() -> None:
    old, new = manifest(shots=3), manifest(version=2, shots=2, audio=True)
    first = new.shots[0].model_copy(
        update={"camera": "slow pan", "seconds": 3, "seed": 7, "reference_image_url": "https://a.example/b"}
    )
    new = new.model_copy(update={"shots": (first, new.shots[1]), "audio_style": "calm piano"})
    assert changes(old, new) == (
        "Sound is ordered.",
        "The sound is to be: calm piano.",
        "Shot 1 takes 3 s instead of 5 s.",
        "Shot 1 has the camera: slow pan.",
        "Shot 1 starts from another image.",
        "Shot 1 has the seed 7.",
        "Shot 3 is taken out.",
    )
    assert changes(old, old) == ()
