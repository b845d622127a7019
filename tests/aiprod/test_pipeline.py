"""The steps of a run: lists of jobs, done twice without harm, one job's trouble never another's."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiprod import finishing
from aiprod.errors import BackendError, FailureKind, JobFailed, StorageError
from tests.market import Market
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


def test_fallback_goes_through_every_vendor_and_charges_what_was_charged(market: Market) -> None:
    market.approved("[[runway=fail]] [[veo3=fail-charged]]")
    market.run("job-1")
    assert market.states() == [("runway", "failed"), ("veo3", "failed"), ("replicate", "succeeded")]
    assert market.balance().settled == 400_000 + 100_000


@pytest.mark.parametrize(
    "prompt", ["{{ conn.runway.password }}", "{% for x in y %}{{ x }}", "${HOME} $(id) `id`", "'; DROP TABLE jobs;--"]
)
def test_a_customers_words_reach_the_vendor_verbatim(market: Market, prompt: str) -> None:
    market.bought(prompt)
    (accepted,) = market.accepts()
    assert accepted["request"]["prompt"] == prompt  # type: ignore[index]


class TestScore:
    def test_all_good_goes_on_to_assemble(self, market: Market) -> None:
        market.bought()
        assert market.pipeline.score(["job-1"], 1).then == "assemble"

    def test_a_missing_take_asks_for_another_attempt(self, market: Market) -> None:
        market.bought("[[runway=fail]]")
        assert market.pipeline.score(["job-1"], 1).then == "again"

    def test_an_attempt_that_bought_nothing_is_stuck(self, market: Market) -> None:
        market.approved()
        assert market.pipeline.score(["job-1"], 1).then == "stuck"

    def test_beside_a_finished_job_nothing_more_to_buy_means_assemble(self, market: Market) -> None:
        market.bought(job_id="done")
        market.approved(job_id="stuck")
        market.pipeline.score(["done", "stuck"], 1)
        assert market.pipeline.score(["done", "stuck"], 2).then == "assemble"


def test_nothing_to_route_for_anybody_is_said_with_the_reasons(market: Market) -> None:
    market.approved(quality_floor=0.99)
    market.with_preset(may_degrade=False)
    with pytest.raises(JobFailed, match=r"expected quality 0\.95 is below the floor of 0\.99"):
        market.pipeline.route(["job-1"], 1)


def test_a_run_counts_its_failed_job_once(market: Market) -> None:
    market.bought("[[runway=fail]]")
    for _ in range(2):
        market.pipeline.settle("run-1")
    assert market.count("metric_outbox WHERE name = 'jobs'") == 1


def test_the_same_order_twice_in_a_batch_is_one_job(market: Market) -> None:
    order = {"prompt": "a lake", "seconds": 1, "job_id": "same"}
    assert market.pipeline.estimate([order, order], run_id="run-1", job_id="run-1") == ["same"]


def test_jobs_of_a_batch_without_names_get_different_ones(market: Market) -> None:
    order = {"prompt": "a lake", "seconds": 1}
    assert market.pipeline.estimate([order, order], run_id="run-1", job_id="batch") == ["batch-1", "batch-2"]


def test_what_may_pass_by_itself_is_raised_after_every_other_job_had_its_turn(local_market: Market) -> None:
    for job_id in ("lost", "fine"):
        local_market.bought(job_id=job_id)
    local_market.pipeline.score(["lost", "fine"], 1)
    local_market.sql("UPDATE takes SET path = 'nowhere.mp4' WHERE job_id = 'lost'")
    with pytest.raises(StorageError, match=r"nowhere\.mp4"):
        local_market.pipeline.assemble(["lost", "fine"])
    assert finishing.has_video(local_market.ledger, "fine", 1)


def test_a_take_that_came_home_late_is_judged_and_followed_by_another_attempt(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paid in attempt 1, fetched in attempt 2, no good: attempt 3 buys elsewhere instead of giving up."""

    def unreachable(self: Vendor, vendor_id: str, into: Path) -> None:
        raise BackendError("503", kind=FailureKind.TRANSIENT, money_moved="yes")

    market.approved("[[runway=html]]")
    with monkeypatch.context() as down:
        down.setattr(Vendor, "fetch", unreachable)
        market.pipeline.route(["job-1"], 1)
        with pytest.raises(StorageError):
            market.render()
        assert market.pipeline.score(["job-1"], 1).then == "again"
    assert market.pipeline.route(["job-1"], 2) == ["runway"]
    assert market.render(round=2).done == 1
    assert market.pipeline.score(["job-1"], 2).then == "again"
    assert market.pipeline.route(["job-1"], 3) == ["veo3"]
    assert len(market.accepts()) == 1


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
