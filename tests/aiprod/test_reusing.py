"""The very same clip is bought once for a version of a job: free, shown as saved, and never a bad one as good."""

from __future__ import annotations

from typing import Any

import pytest

from aiprod import delivering
from aiprod.errors import JobFailed
from aiprod.ledger import results
from aiprod.ledger.results import Reuse
from tests.market import Market

SAME = {"prompt": "a lake", "seconds": 1, "seed": 7}
TWINS = [SAME, {"prompt": "a boat", "seconds": 1}, SAME]


def finished(market: Market, job_id: str = "job-1", run_id: str = "run-job-1") -> None:
    """Carry a job through the rest of its run."""
    market.run(job_id)
    market.pipeline.assemble([job_id])
    market.pipeline.deliver([job_id])
    market.pipeline.settle(run_id)


def made_again(market: Market, *shots: int) -> None:
    """Make shots of a finished job again, as far as its takes."""
    market.pipeline.redo("job-1", shots=list(shots), change=None, base_version=1, by="ann")
    market.pipeline.carry(["job-1"], run_id="run-again")
    assert market.pipeline.ask("job-1", run_id="run-again").answer == "approved"
    market.run("job-1")


def reused(market: Market, job_id: str, version: int = 1) -> dict[int, Reuse]:
    with market.ledger.read() as conn:
        return results.reuses_of(conn, job_id, version)


def told(market: Market, job_id: str) -> dict[str, Any]:
    return delivering.result(market.ledger, job_id)


def test_the_same_order_of_another_job_is_a_clip_of_its_own(market: Market) -> None:
    for job_id in ("first", "second", "third"):
        market.routed("a lake", seed=7, job_id=job_id, run_id=f"run-{job_id}")
        if job_id == "first":
            finished(market, job_id, f"run-{job_id}")
    market.run("second", "third")
    assert [len(market.purchases(job_id)) for job_id in ("first", "second", "third")] == [1, 1, 1]
    assert len(market.accepts()) == 3 and market.count("reuses") == 0


def test_identical_shots_of_one_manifest_are_bought_once(market: Market) -> None:
    market.approved(shots=TWINS, run_id="run-job-1")
    finished(market)
    assert sorted(p.shot for p in market.purchases()) == [1, 2]
    assert {shot: again.take_id for shot, again in reused(market, "job-1").items()} == {3: market.purchases()[0].purchase_id}
    assert told(market, "job-1")["cost_usd"] == pytest.approx(sum(p.charged or 0 for p in market.purchases()) / 1e6)
    assert len(market.accepts()) == 2
    view = market.pipeline.view("job-1")
    assert [shot.status for shot in view.shots] == ["accepted", "accepted", "reused"]


def test_a_rejected_clip_is_bought_again_once_for_every_shot_it_is_for(local_market: Market) -> None:
    bad = {**SAME, "prompt": "a lake [[runway=html]]"}
    local_market.approved(shots=[bad, bad])
    local_market.run("job-1")
    assert local_market.states() == [("runway", "succeeded"), ("replicate", "succeeded")]
    assert set(reused(local_market, "job-1")) == {2}


def test_the_best_rejected_clip_stands_for_every_shot_it_is_for_and_a_person_is_asked(local_market: Market) -> None:
    local_market.with_preset(attempts_per_shot=1)
    local_market.approved(shots=[SAME, SAME], backend="runway")
    local_market.run("job-1", rounds=1)
    take = local_market.only().purchase_id
    local_market.sql("DELETE FROM reuses")
    local_market.sql("UPDATE qa_reports SET verdict = 'rejected'")
    (job_id,) = local_market.pipeline.assemble(["job-1"])
    with local_market.ledger.read() as conn:
        made_ = results.cut(conn, job_id, 1)
    assert made_ is not None and made_.takes == (take, take)
    (review,) = local_market.pipeline.reviews([job_id])
    assert "was rejected" in review.reasons[0]


def test_a_redo_makes_a_shot_again_though_the_very_same_clip_is_there(local_market: Market) -> None:
    local_market.approved(shots=TWINS, run_id="run-job-1")
    finished(local_market)
    made_again(local_market, 1)
    assert [p.shot for p in local_market.purchases(version=2)] == [1]


def test_the_clip_that_is_made_again_never_stands_for_the_one_that_came_of_it(market: Market) -> None:
    """Of identical shots one is made again, and what came back is no good: there is nothing to deliver."""
    market.with_preset(attempts_per_shot=1)
    market.approved(shots=[SAME, SAME], run_id="run-job-1")
    finished(market)
    made_again(market, 2)
    (again,) = market.purchases(version=2)
    veto = '"findings":[{"code":"black","severity":"veto","evidence":"e"}]'
    market.sql(
        "UPDATE qa_reports SET verdict = 'rejected', report = replace(report, '\"findings\":[]', :veto) WHERE take_id = :take",
        veto=veto,
        take=again.purchase_id,
    )
    with pytest.raises(JobFailed, match="shot 2 has no usable take"):
        market.pipeline.assemble(["job-1"])


def test_identical_shots_that_are_both_made_again_are_bought_once_again(local_market: Market) -> None:
    local_market.approved(shots=[SAME, SAME], run_id="run-job-1")
    finished(local_market)
    made_again(local_market, 1, 2)
    (again,) = local_market.purchases(version=2)
    assert {shot: use.take_id for shot, use in reused(local_market, "job-1", 2).items()} == {2: again.purchase_id}
