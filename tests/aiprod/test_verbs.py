"""Every verb reaches its room with what was said, and the pipeline has them all."""

from __future__ import annotations

import pytest

from aiprod.editing import ManifestEdit
from aiprod.errors import JobConflict, JobMoved, JobUnknown
from aiprod.models import JobFilter, JobStatus, ShotSpec
from aiprod.pipeline import Pipeline
from aiprod.verbs import Verbs
from tests.market import RUN, Market

ORDER = {"prompt": "a lake", "seconds": 1, "preset": "brand_campaign"}


def test_an_order_without_a_run_is_created_and_carried_later(local_market: Market) -> None:
    verbs = local_market.pipeline
    entered = verbs.enter(ORDER, job_id="job-1", by="ann")
    assert (entered.job_id, entered.version, entered.new) == ("job-1", 1, True)
    seen = verbs.view("job-1")
    assert (seen.status, seen.created_by, seen.runs, seen.needs_you) == ("created", "ann", (), False)
    assert verbs.enter(ORDER, job_id="job-1", by="bob").new is False
    with pytest.raises(JobConflict):
        verbs.enter({**ORDER, "seconds": 2}, job_id="job-1", by="ann")
    assert verbs.estimate([{**ORDER, "job_id": "job-1"}], run_id=RUN, job_id="job-1", by="bob") == ["job-1"]
    assert (verbs.view("job-1").status, verbs.view("job-1").created_by) == ("estimated", "ann")


def test_looking_asking_and_answering_go_through_one_object(local_market: Market) -> None:
    verbs = local_market.pipeline
    local_market.order(preset="brand_campaign")
    verbs.spend_question("job-1", run_id=RUN, task_id="approve")
    (row,) = verbs.listing(JobFilter(statuses=(JobStatus.WAITING_APPROVAL,))).jobs
    assert (row.job_id, row.needs_you, row.title) == ("job-1", True, "a lighthouse")
    before = verbs.revisions(["job-1"])
    verbs.edit("job-1", ManifestEdit(shots=(ShotSpec(prompt="a boat", seconds=1),)), base_version=1, by="ann")
    assert verbs.revisions(["job-1"]) != before
    asked = verbs.view("job-1").approval
    assert asked is not None
    assert verbs.answer_money("job-1", "rejected", version=2, amount=asked.amount, by="bob", why="too dear").answer == "rejected"
    assert verbs.view("job-1").problems == ("rejected: bob: too dear",)
    assert verbs.redo("job-1", shots=[1], base_version=2, by="ann").version == 3
    assert verbs.costs_of_job("job-1").purchases == ()


def test_an_unknown_job_is_unknown_to_every_verb(local_market: Market) -> None:
    verbs: Verbs = local_market.pipeline
    assert isinstance(verbs, Pipeline)
    for verb in (
        lambda: verbs.view("ghost"),
        lambda: verbs.costs_of_job("ghost"),
        lambda: verbs.cancel("ghost", by="ann"),
        lambda: verbs.redo("ghost", shots=[1], base_version=1, by="ann"),
        lambda: verbs.answer_money("ghost", "approved", version=1, amount=1, by="ann"),
    ):
        with pytest.raises(JobUnknown, match="ghost"):
            verb()


def test_what_is_delivered_cannot_be_cancelled_and_stays_as_it_is(local_market: Market) -> None:
    local_market.approved()
    local_market.run("job-1")
    local_market.pipeline.assemble(["job-1"])
    local_market.pipeline.deliver(["job-1"])
    with pytest.raises(JobMoved, match="job-1 is delivered"):
        local_market.pipeline.cancel("job-1", by="eve")
