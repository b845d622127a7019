"""The steps of a run: lists of jobs, done twice without harm, one job's trouble never another's."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from aiprod import batching, finishing
from aiprod.errors import BackendError, FailureKind, JobFailed, StorageError
from aiprod.ledger import points
from tests.market import Market, killed, lethal
from tests.vendor import Vendor

JOBS = ("fine-1", "broken", "fine-2")


def batch(market: Market) -> None:
    for job_id in JOBS:
        fails = "[[runway=fail]] [[veo3=reject]] [[replicate=moderated]]"
        market.approved(fails if job_id == "broken" else "a lake", job_id=job_id)
    market.run(*JOBS)


def test_good_jobs_of_a_batch_deliver_and_the_bad_one_is_named_at_the_end(market: Market) -> None:
    batch(market)
    assert market.pipeline.assemble(JOBS) == ["fine-1", "fine-2"]
    with pytest.raises(JobFailed, match=r"(?s)1 of 3 jobs were not delivered.*broken: assemble: shot 1 has no usable take"):
        market.pipeline.deliver(JOBS)
    assert [market.pipeline.result(job_id)["video"] is not None for job_id in JOBS] == [True, False, True]
    assert "runway vendor_internal, veo3 transient, replicate moderated" in market.pipeline.result("broken")["problems"][-1]


def test_every_step_done_twice_changes_nothing(market: Market) -> None:
    market.approved("[[runway=fail-charged]]")
    for _ in range(2):
        market.run("job-1")
        market.pipeline.assemble(["job-1"])
        market.pipeline.deliver(["job-1"])
        market.pipeline.settle("run-1")
    assert (len(market.accepts()), market.count("deliveries"), market.count("cuts")) == (2, 1, 1)
    assert market.balance().settled == 520_000


def test_fallback_goes_through_every_vendor_and_charges_what_was_charged(local_market: Market) -> None:
    local_market.approved("[[runway=fail]] [[veo3=fail-charged]]")
    local_market.run("job-1")
    assert local_market.states() == [("runway", "failed"), ("veo3", "failed"), ("replicate", "succeeded")]
    assert local_market.balance().settled == 400_000 + 100_000


@pytest.mark.parametrize(
    "prompt", ["{{ conn.runway.password }}", "{% for x in y %}{{ x }}", "${HOME} $(id) `id`", "'; DROP TABLE jobs;--"]
)
def test_a_customers_words_reach_the_vendor_verbatim(local_market: Market, prompt: str) -> None:
    local_market.bought(prompt)
    (accepted,) = local_market.accepts()
    assert accepted["request"]["prompt"] == prompt  # type: ignore[index]


class TestScore:
    def test_all_good_goes_on_to_assemble(self, local_market: Market) -> None:
        local_market.bought()
        assert local_market.pipeline.score(["job-1"], 1).then == "assemble"

    def test_a_missing_take_asks_for_another_attempt(self, local_market: Market) -> None:
        local_market.bought("[[runway=fail]]")
        assert local_market.pipeline.score(["job-1"], 1).then == "again"

    def test_an_attempt_that_bought_nothing_is_stuck(self, local_market: Market) -> None:
        local_market.approved()
        assert local_market.pipeline.score(["job-1"], 1).then == "stuck"

    def test_beside_a_finished_job_nothing_more_to_buy_means_assemble(self, local_market: Market) -> None:
        local_market.bought(job_id="done")
        local_market.approved(job_id="stuck")
        local_market.pipeline.score(["done", "stuck"], 1)
        assert local_market.pipeline.score(["done", "stuck"], 2).then == "assemble"


def test_nothing_to_route_for_anybody_is_said_with_the_reasons(local_market: Market) -> None:
    local_market.approved(quality_floor=0.99)
    local_market.with_preset(may_degrade=False)
    with pytest.raises(JobFailed, match=r"expected quality 0\.95 is below the floor of 0\.99"):
        local_market.pipeline.route(["job-1"], 1)


def test_a_run_counts_its_failed_job_once(market: Market) -> None:
    market.bought("[[runway=fail]]")
    for _ in range(2):
        market.pipeline.settle("run-1")
    assert market.count("metric_outbox WHERE name = 'jobs'") == 1


def test_the_same_order_twice_in_a_batch_is_one_job(local_market: Market) -> None:
    order = {"prompt": "a lake", "seconds": 1, "job_id": "same"}
    assert local_market.pipeline.estimate([order, order], run_id="run-1", job_id="run-1") == ["same"]


def test_jobs_of_a_batch_without_names_get_different_ones(local_market: Market) -> None:
    order = {"prompt": "a lake", "seconds": 1}
    assert local_market.pipeline.estimate([order, order], run_id="run-1", job_id="batch") == ["batch-1", "batch-2"]


def test_what_may_pass_by_itself_is_raised_after_every_other_job_had_its_turn(local_market: Market) -> None:
    for job_id in ("lost", "fine"):
        local_market.bought(job_id=job_id)
    local_market.pipeline.score(["lost", "fine"], 1)
    local_market.sql("UPDATE takes SET path = 'nowhere.mp4' WHERE job_id = 'lost'")
    with pytest.raises(StorageError, match=r"nowhere\.mp4"):
        local_market.pipeline.assemble(["lost", "fine"])
    assert finishing.has_video(local_market.ledger, "fine", 1)


def test_a_take_that_came_home_late_is_judged_and_followed_by_another_attempt(
    local_market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paid in attempt 1, fetched in attempt 2, no good: attempt 3 buys elsewhere instead of giving up."""

    def unreachable(self: Vendor, vendor_id: str, into: Path) -> None:
        raise BackendError("503", kind=FailureKind.TRANSIENT, money_moved="yes")

    local_market.approved("[[runway=html]]")
    with monkeypatch.context() as down:
        down.setattr(Vendor, "fetch", unreachable)
        local_market.pipeline.route(["job-1"], 1)
        with pytest.raises(StorageError):
            local_market.render()
        assert local_market.pipeline.score(["job-1"], 1).then == "again"
    assert local_market.pipeline.route(["job-1"], 2) == ["runway"]
    assert local_market.render(round=2).done == 1
    assert local_market.pipeline.score(["job-1"], 2).then == "again"
    assert local_market.pipeline.route(["job-1"], 3) == ["replicate"]
    assert len(local_market.accepts()) == 1


def test_settling_while_something_runs_keeps_it_watched_and_its_money_held(market: Market) -> None:
    market.bought("[[runway=slow:600]]")
    assert market.pipeline.settle("run-1") == ["job-1: failed, 0 unused holds given back"]
    assert market.balance().reserved == market.only().hold
    market.finish()
    market.pipeline.reconcile()
    assert (market.balance().reserved, market.balance().settled) == (0, market.only().hold)


def test_only_an_unknown_job_is_refused_by_name(local_market: Market) -> None:
    with pytest.raises(JobFailed, match="job ghost has no manifest"):
        local_market.pipeline.result("ghost")


def test_a_batch_whose_every_step_is_done_twice_buys_and_delivers_once(local_market: Market) -> None:
    """Every task that Airflow tries again: the vendors see nothing of it, and no trouble is told twice."""
    market = local_market
    fails = "[[runway=fail-charged]] [[veo3=reject]] [[replicate=moderated]]"
    for job_id in JOBS:
        market.approved(fails if job_id == "broken" else "a lake", job_id=job_id)
    for round in (1, 2, 3):
        names = [market.pipeline.route(JOBS, round) for _ in range(2)]
        assert names[0] == names[1]
        for name in names[0] * 2:
            market.pipeline.render(JOBS, name, round)
        assert [market.pipeline.score(JOBS, round).then for _ in range(2)] == ["again"] * 2
    for step in (market.pipeline.assemble, market.pipeline.deliver, lambda _: market.pipeline.settle("run-1")) * 2:
        with suppress(JobFailed):
            step(JOBS)
    for _ in range(2):
        market.pipeline.push_metrics()
        market.pipeline.reconcile()
    assert (len(market.accepts()), market.count("deliveries"), market.count("cuts")) == (4, 2, 2)
    told = market.pipeline.result("broken")["problems"]
    assert len(told) == len(set(told)) > 0
    with market.ledger.read() as conn:
        ended = {s.labels["status"]: s.total for s in points.series(conn) if s.name == "jobs" and s.count}
    assert ended == {"delivered": 2, "failed": 1}


def test_what_became_of_a_delivered_and_of_a_failed_job_is_said(local_market: Market) -> None:
    local_market.approved("[[runway=fail-charged]]", job_id="fine")
    local_market.approved("[[runway=fail-charged]] [[veo3=reject]] [[replicate=moderated]]", job_id="broken")
    local_market.run("fine", "broken")
    local_market.pipeline.assemble(["fine", "broken"])
    with pytest.raises(JobFailed):
        local_market.pipeline.deliver(["fine", "broken"])
    fine, broken = (local_market.pipeline.result(job_id) for job_id in ("fine", "broken"))
    assert all(Path(fine[name]).is_file() for name in ("video", "poster", "contact_sheet", "manifest"))
    assert (fine["cost_usd"], fine["attempts"], fine["technical"], fine["quality"], fine["problems"]) == (0.52, 2, 1.0, None, [])
    assert [broken[name] for name in ("video", "manifest", "quality", "technical", "labels")] == [None, None, None, None, []]
    assert (broken["cost_usd"], broken["attempts"]) == (0.22, 3)
    assert broken["problems"] == [
        "assemble: shot 1 has no usable take: runway vendor_internal, veo3 transient, replicate moderated"
    ]


class TestSettle:
    def test_a_late_settle_leaves_alone_what_a_younger_run_has_set_aside(self, market: Market) -> None:
        market.approved(run_id="old")
        market.approved(run_id="young")
        market.pipeline.route(["job-1"], 1)
        market.pipeline.settle("old")
        assert market.only().state == "held"
        market.pipeline.settle("young")
        assert market.only().state == "voided"

    def test_killed_in_the_middle_it_counts_every_job_once(self, market: Market) -> None:
        for job_id in ("one", "two"):
            market.approved(job_id=job_id)

        def work() -> None:
            lethal(batching, "ended", after=True)
            market.pipeline.settle("run-1")

        killed(work)
        market.pipeline.settle("run-1")
        market.pipeline.settle("run-1")
        assert market.count("metric_outbox WHERE name = 'jobs'") == 2
