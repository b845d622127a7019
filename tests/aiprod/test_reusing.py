"""The very same clip is bought once and stands wherever it was ordered: free, shown as saved, and never a bad one as good."""

from __future__ import annotations

from typing import Any

import pytest

from aiprod import delivering, erasing
from aiprod.errors import JobFailed
from aiprod.ledger import erasures, queue, results
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.results import Reuse
from tests.market import Market

SAME = {"prompt": "a lake", "seconds": 1, "seed": 7}
TWINS = [SAME, {"prompt": "a boat", "seconds": 1}, SAME]


def made(market: Market, job_id: str, **spec: Any) -> None:
    """Order a job, and make its takes."""
    market.approved(job_id=job_id, run_id=f"run-{job_id}", **{"prompt": "a lake", "seed": 7, **spec})
    market.run(job_id)
    market.pipeline.settle(f"run-{job_id}")


def asked(market: Market, job_id: str, **spec: Any) -> dict[int, Reuse]:
    """Order a job and route it once; return what it uses again."""
    market.routed(job_id=job_id, run_id=f"run-{job_id}", **{"prompt": "a lake", "seed": 7, **spec})
    return reused(market, job_id)


def finished(market: Market, job_id: str) -> None:
    """Carry a job through the rest of its run."""
    market.run(job_id)
    market.pipeline.assemble([job_id])
    market.pipeline.deliver([job_id])
    market.pipeline.settle(f"run-{job_id}")


def reused(market: Market, job_id: str, version: int = 1) -> dict[int, Reuse]:
    with market.ledger.read() as conn:
        return results.reuses_of(conn, job_id, version)


def told(market: Market, job_id: str) -> dict[str, Any]:
    return delivering.result(market.ledger, job_id)


# --- between jobs of one project ------------------------------------------------------------------------


def test_the_same_order_of_another_job_buys_nothing_and_shows_what_it_saved(market: Market) -> None:
    made(market, "first")
    market.approved("a lake", job_id="second", run_id="run-second", seed=7)
    finished(market, "second")
    bought = market.only("first")
    assert market.purchases("second") == []
    assert reused(market, "second") == {1: Reuse(shot=1, take_id=bought.purchase_id, saved=bought.hold)}
    assert (told(market, "second")["cost_usd"], told(market, "second")["attempts"]) == (0, 0)
    assert told(market, "second")["video"] is not None
    assert len(market.accepts()) == 1
    with market.ledger.read() as conn:
        assert (results.saved(conn, "first"), results.saved(conn, "second")) == (0, bought.hold)


@pytest.mark.parametrize(
    "other",
    [
        {"project": "acme"},
        {"seed": 8},
        {"seed": None},
        {"prompt": "a pond"},
        {"seconds": 2},
        {"aspect_ratio": "9:16"},
        {"audio": False},
        {"quality_floor": 0.65},
    ],
    ids=lambda other: f"{next(iter(other))}",
)
def test_another_project_seed_shot_or_stricter_floor_gets_a_clip_of_its_own(local_market: Market, other: dict[str, Any]) -> None:
    made(local_market, "first")
    assert asked(local_market, "second", **other) == {}
    assert [p.state for p in local_market.purchases("second")] == ["held"]


def test_who_leaves_the_seed_open_gets_a_picture_of_their_own(local_market: Market) -> None:
    for job_id in ("first", "second"):
        made(local_market, job_id, seed=None)
    assert len(local_market.accepts()) == 2


def test_a_rejected_take_stands_for_no_other_job(local_market: Market) -> None:
    made(local_market, "first")
    local_market.sql("UPDATE qa_reports SET verdict = 'rejected'")
    assert asked(local_market, "second") == {}
    assert local_market.states("second") == [("runway", "held")]


def test_what_the_other_order_has_on_purpose_is_no_excuse_here(local_market: Market) -> None:
    made(local_market, "first", allows=["black"])
    assert asked(local_market, "second") == {}
    local_market.pipeline.settle("run-second")
    assert set(asked(local_market, "third", allows=["black", "cuts"])) == {1}


def test_a_take_of_a_video_that_a_person_rejected_stands_for_no_other_job(local_market: Market) -> None:
    made(local_market, "first")
    row = {"job": "first", "cut": "c", "word": "rejected", "by": "ann"}
    local_market.sql("INSERT INTO reviews (job_id, version, cut_sha, answer, answered_by, answered_at) "
                     "VALUES (:job, 1, :cut, :word, :by, 0)", **row)  # fmt: skip
    assert asked(local_market, "second") == {}


def test_thresholds_that_changed_since_are_not_taken_as_passed(local_market: Market) -> None:
    made(local_market, "first")
    quality = local_market.catalog.quality.model_copy(update={"version": "tomorrow"})
    local_market.catalog = local_market.catalog.model_copy(update={"quality": quality})
    assert asked(local_market, "second") == {}


def test_a_job_that_nobody_approved_uses_nothing(local_market: Market) -> None:
    made(local_market, "first")
    local_market.order("a lake", job_id="second", seed=7, preset="brand_campaign")
    with pytest.raises(JobFailed, match="no approval"):
        local_market.pipeline.route(["second"], 1)
    assert reused(local_market, "second") == {}


def test_an_erased_take_stands_for_nobody_and_one_in_use_is_not_erased(local_market: Market) -> None:
    made(local_market, "first")
    local_market.routed("a lake", job_id="second", run_id="run-second", seed=7)
    with local_market.ledger.read() as conn:
        now = database_now(conn)
        assert "uses a take of it" in (erasures.in_the_way(conn, "first", now=now) or "")
    finished(local_market, "second")
    erasing.erase(local_market.ledger, local_market.pipeline.storage, "first", by="ann", why="asked")
    with local_market.ledger.read() as conn:
        assert results.judged(conn, "second", 1) == []
    assert asked(local_market, "third") == {}


# --- within a job ---------------------------------------------------------------------------------------


def test_identical_shots_of_one_manifest_are_bought_once(market: Market) -> None:
    market.approved(shots=TWINS, run_id="run-job-1")
    finished(market, "job-1")
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
    finished(local_market, "job-1")
    local_market.pipeline.redo("job-1", shots=[1], change=None, base_version=1, by="ann")
    local_market.pipeline.carry(["job-1"], run_id="run-again")
    assert local_market.pipeline.ask("job-1", run_id="run-again").answer == "approved"
    local_market.run("job-1")
    assert [p.shot for p in local_market.purchases(version=2)] == [1]


# --- on its way -----------------------------------------------------------------------------------------


def test_what_another_job_is_having_made_is_waited_for_and_then_used(market: Market) -> None:
    market.routed("a lake", seed=7, job_id="first", run_id="run-first")
    market.approved("a lake", seed=7, job_id="second", run_id="run-second")
    assert waits_for_the_first(market, "second")
    market.render(job_id="first")
    market.pipeline.score(["first"], 1)
    assert market.pipeline.route(["second"], 1) == []
    assert set(reused(market, "second")) == {1}
    assert len(market.accepts()) == 1


def test_the_same_row_twice_in_one_batch_is_bought_once(market: Market) -> None:
    rows = [{"prompt": "a lake", "seconds": 1, "seed": 7, "job_id": job_id} for job_id in ("a", "b")]
    market.pipeline.enlist(rows, campaign="spring", amount=10_000_000, by="ann")
    market.pipeline.carry(["a", "b"], run_id="run-1")
    market.run("a", "b")
    assert [len(market.purchases(job_id)) for job_id in ("a", "b")] == [1, 0]
    market.pipeline.carry(["b"], run_id="run-2")
    market.run("b")
    assert set(reused(market, "b")) == {1}
    assert len(market.accepts()) == 1


def test_when_the_other_jobs_render_fails_the_clip_is_bought_after_all(local_market: Market) -> None:
    words = "a lake [[runway=fail]]"
    local_market.routed(words, seed=7, job_id="first", backend="runway")
    local_market.approved(words, seed=7, job_id="second", backend="veo3")
    local_market.render(job_id="first")
    assert local_market.pipeline.route(["second"], 1) == ["veo3"]


def waits_for_the_first(market: Market, job_id: str) -> bool:
    """Route a job that has to wait, and say whether it is in the queue for it."""
    with pytest.raises(JobFailed, match="is being made for job first and is not bought twice"):
        market.pipeline.route([job_id], 1)
    with market.ledger.read() as conn:
        return job_id in queue.waiting(conn, [job_id])
