"""What people see of a job is what the ledger has, and whoever watches is told of every change."""

from __future__ import annotations

import random
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from aiprod import viewing
from aiprod.errors import SpecError
from aiprod.ledger import Ledger
from tests.market import RUN, Market
from tests.walk import MOVES, Walk


def stroll(market: Market, folder: Path, *, preset: str, seed: int, steps: int = 40) -> set[str]:
    """Let one drawn walk go over a new ledger; return the states it saw. It is the same each time, its trail is told."""
    draw = random.Random(f"{preset} {seed}")  # noqa: S311 - chooses moves
    file = folder / f"walk-{preset}-{seed}.db"
    shutil.copyfile(folder / "ledger.db", file)
    walk = Walk(Ledger(f"sqlite:///{file}"), market.catalog, preset=preset)
    trail: list[str] = []
    for _ in range(steps):
        trail.append(draw.choice(MOVES))
        try:
            walk.do(trail[-1])
        except AssertionError as error:
            pytest.fail(f"{error} after {trail}: {[str(status) for status in walk.seen]}")
    return {str(status) for status in walk.seen}


@pytest.mark.parametrize("preset", ["quick_social", "premium_spot"])
def test_no_walk_leaves_the_documented_ways_and_every_change_is_seen(local_market: Market, tmp_path: Path, preset: str) -> None:
    local_market.with_preset(preset, budget_usd=1_000)
    for seed in range(2):
        stroll(local_market, tmp_path, preset=preset, seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["quick_social", "brand_campaign", "premium_spot"])
def test_no_long_walk_does_either_and_they_come_everywhere(local_market: Market, tmp_path: Path, preset: str) -> None:
    local_market.with_preset(preset, budget_usd=1_000)
    seen = {status for seed in range(25) for status in stroll(local_market, tmp_path, preset=preset, seed=1_000 + seed, steps=60)}
    assert {"created", "estimated", "rendering", "scoring", "delivered", "failed", "cancelled"} <= seen


class TestView:
    def test_a_job_that_waits_for_a_word_says_until_when_and_about_how_much(self, local_market: Market) -> None:
        local_market.order(preset="brand_campaign")
        local_market.pipeline.spend_question("job-1", run_id=RUN, task_id="approve")
        seen = viewing.view(local_market.ledger, local_market.catalog, "job-1")
        asked = seen.approval
        assert asked is not None and asked.answer_by is not None
        assert (seen.status, seen.needs_you, asked.amount, asked.not_by) == ("waiting_approval", True, 620_000, None)
        assert timedelta(hours=71) < asked.answer_by - seen.created_at < timedelta(hours=73)
        assert [(run.run_id, run.settled_at) for run in seen.runs] == [(RUN, None)]

    def test_a_delivered_job_shows_its_decisions_its_money_and_no_problems(self, local_market: Market) -> None:
        local_market.approved("[[runway=fail-charged]]")
        local_market.run("job-1")
        local_market.pipeline.assemble(["job-1"])
        local_market.pipeline.deliver(["job-1"])
        seen = viewing.view(local_market.ledger, local_market.catalog, "job-1")
        assert [line.chosen for line in seen.decisions] == ["runway", "veo3"]
        assert (seen.costs.held, seen.costs.charged) == (0, 520_000) == (0, local_market.balance().settled)
        assert seen.costs.budget - seen.costs.charged == seen.costs.budget_left
        assert (seen.status, seen.problems, seen.delivery is not None) == ("delivered", (), True)

    def test_a_job_out_of_the_days_money_says_what_it_waits_for(self, local_market: Market) -> None:
        local_market.approved(at_cap="wait")
        local_market.with_budgets(day_usd="0.05", day_warn_usd="0.01")
        with pytest.raises(Exception, match="nothing could be routed"):
            local_market.pipeline.route(["job-1"], 1)
        seen = viewing.view(local_market.ledger, local_market.catalog, "job-1")
        assert seen.waits is not None and (seen.status, seen.waits.reason) == ("waiting_budget", "money")


class TestListing:
    def test_pages_follow_each_other_without_gap_or_repetition(self, local_market: Market) -> None:
        for n in range(5):
            local_market.order(job_id=f"job-{n}", run_id=f"run-{n}")
        pages, mark = [], None
        while True:
            page = viewing.listing(local_market.ledger, before=mark, limit=2)
            pages.append([row.job_id for row in page.jobs])
            mark = page.next
            if mark is None:
                break
        assert pages == [["job-4", "job-3"], ["job-2", "job-1"], ["job-0"]]

    @pytest.mark.parametrize("mark", ["", "x", "!!", "MTIz", "é", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5Omo"])
    def test_what_is_no_mark_is_refused(self, local_market: Market, mark: str) -> None:
        with pytest.raises(SpecError, match="before: is no page's `next`"):
            viewing.listing(local_market.ledger, before=mark)

    def test_a_title_is_the_first_words(self, local_market: Market) -> None:
        local_market.order("a  lake\n" + "in fog " * 40)
        (row,) = viewing.listing(local_market.ledger).jobs
        assert row.title.startswith("a lake in fog") and len(row.title) <= 80 and row.title.endswith("…")


def test_costs_are_told_of_every_purchase_of_every_version(local_market: Market) -> None:
    local_market.approved("[[runway=fail]]")
    local_market.run("job-1")
    told = viewing.costs_of_job(local_market.ledger, local_market.catalog, "job-1")
    assert [(p.backend, p.shot, p.charged, p.difference) for p in told.purchases] == [
        ("runway", 1, 0, -120_000),
        ("veo3", 1, 400_000, 0),
    ]
    assert told.sums.charged == sum(p.charged or 0 for p in told.purchases)
