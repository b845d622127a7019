"""From an order to an envelope: bad input writes nothing, one order is one job, and an answer counts for what was shown."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from aiprod import ordering
from aiprod.errors import JobConflict, JobFailed, SpecError
from aiprod.ledger import approvals, jobs
from aiprod.ledger.engine import now as database_now
from aiprod.models import USD
from tests.market import RUN, Market

ASK = {"auto_approve_usd": None}


def refused(market: Market, **raw: Any) -> str:
    with pytest.raises(SpecError) as refusal:
        market.pipeline.estimate([{"job_id": "job-1", **raw}], run_id=RUN, job_id="job-1")
    assert market.count("jobs") == market.count("manifests") == market.count("runs") == 0
    return str(refusal.value)


class TestRefusal:
    @pytest.mark.parametrize(
        ("raw", "line"),
        [
            ({"prompt": "a", "preset": "gold"}, "preset: 'gold' is unknown; known: quick_social, brand_campaign, premium_spot"),
            ({"prompt": "a", "backend": "sora"}, "backend: 'sora' is unknown; known: auto, runway, veo3, replicate, animatic"),
            ({"prompt": "a", "seconds": 31}, "seconds: 31 s asked, but preset quick_social allows 30 s at most"),
            ({"prompt": "a", "seconds": 5, "budget_usd": 0.25}, "budget_usd: $0.25 cannot pay for this video"),
            ({"prompt": "a", "aspect_ratio": "4:3", "backend": "runway"}, "backend: no backend can make shot 1: runway"),
        ],
    )
    def test_it_is_one_plain_line_and_nothing_is_written(self, local_market: Market, raw: dict[str, Any], line: str) -> None:
        assert refused(local_market, **raw).startswith(line)

    def test_a_backend_nobody_configured_is_named_with_what_is_missing(self, local_market: Market) -> None:
        local_market.with_backend("runway", needs=("RUNWAYML_API_SECRET",))
        line = refused(local_market, prompt="a", backend="runway")
        assert "runway not configured: RUNWAYML_API_SECRET is not set" in line

    def test_the_budget_line_says_what_the_cheapest_way_costs(self, local_market: Market) -> None:
        assert "costs $0.5" in refused(local_market, prompt="a", seconds=5, budget_usd=0.1)


class TestEnter:
    def test_the_same_order_again_is_the_same_job(self, market: Market) -> None:
        market.order("a lake")
        market.order("a lake", run_id="run-2")
        assert (market.count("jobs"), market.count("manifests"), market.count("runs")) == (1, 1, 2)

    def test_another_order_under_the_same_id_is_a_conflict_and_changes_nothing(self, market: Market) -> None:
        market.order("a lake")
        with pytest.raises(JobConflict, match="job-1 already names another order"):
            market.order("a sea", run_id="run-2")
        assert (market.count("jobs"), market.count("runs")) == (1, 1)

    def test_the_preview_serves_only_when_it_is_asked_for_or_nobody_else_is_there(self, local_market: Market) -> None:
        local_market.order("a", job_id="vendors")
        local_market.order("a", job_id="asked", backend="animatic")
        for name in ("runway", "veo3", "replicate"):
            local_market.with_backend(name, adapter=None)
        local_market.order("a", job_id="alone")

        with local_market.ledger.read() as conn:
            served = {job_id: jobs.priced(conn, job_id, 1).backends for job_id in ("vendors", "asked", "alone")}

        assert served == {"vendors": ("runway", "veo3", "replicate"), "asked": ("animatic",), "alone": ("animatic",)}

    def test_what_is_estimated_is_what_is_held_and_charged(self, market: Market) -> None:
        market.bought()
        with market.ledger.read() as conn:
            estimate = jobs.priced(conn, "job-1", 1).estimate
        only = market.only()
        assert estimate.expected == only.hold == only.charged == 120_000


class TestAsk:
    def test_the_preset_approves_by_comparing_the_envelope_and_not_the_expected_price(self, local_market: Market) -> None:
        # One second: expected $0.12, every allowed attempt $0.62.
        local_market.with_preset(auto_approve_usd=Decimal("0.5"))
        local_market.order(job_id="dear")
        assert local_market.pipeline.ask("dear", run_id=RUN).answer is None
        local_market.order(job_id="small", budget_usd=0.5)
        asked = local_market.pipeline.ask("small", run_id=RUN)
        assert (asked.answer, asked.amount) == ("approved", USD // 2)

    def test_without_a_limit_a_person_is_asked_even_for_nothing(self, local_market: Market) -> None:
        local_market.with_preset(**ASK)
        local_market.order(backend="animatic")
        asked = local_market.pipeline.ask("job-1", run_id=RUN)
        assert (asked.answer, asked.amount) == (None, 0)

    def test_asking_twice_makes_one_envelope(self, market: Market) -> None:
        market.order()
        first, second = (market.pipeline.ask("job-1", run_id=RUN) for _ in range(2))
        assert first == second
        assert market.count("approvals") == 1

    def test_an_envelope_that_ran_out_is_asked_for_again(self, market: Market) -> None:
        market.approved()
        market.age("approvals", "expires_at")
        assert market.pipeline.ask("job-1", run_id=RUN).sequence == 2

    def test_after_the_run_is_settled_the_old_answer_does_not_count(self, market: Market) -> None:
        """Clearing `approve` needs a new envelope."""
        market.approved()
        market.pipeline.settle(RUN)
        assert market.pipeline.ask("job-1", run_id=RUN).sequence == 2


class TestAnswer:
    @pytest.fixture
    def asked(self, market: Market) -> Market:
        market.with_preset(**ASK)
        market.order()
        market.pipeline.spend_question("job-1", run_id=RUN, task_id="approve")
        return market

    def answer(self, market: Market, word: Any) -> ordering.Asked:
        return market.pipeline.answer_spend("job-1", word, by="ada", run_id=RUN, task_id="approve")

    def test_yes_is_the_envelope(self, asked: Market) -> None:
        said = self.answer(asked, "approved")
        with asked.ledger.read() as conn:
            envelope = approvals.envelope(conn, "job-1", 1)
        assert envelope is not None
        assert (said.answer, envelope.approved_by, envelope.amount) == ("approved", "ada", 620_000)

    @pytest.mark.parametrize("word", ["rejected", "expired"])
    def test_anything_else_is_none(self, asked: Market, word: str) -> None:
        assert self.answer(asked, word).answer == word
        with asked.ledger.read() as conn:
            assert approvals.envelope(conn, "job-1", 1) is None

    def test_the_first_of_two_answers_stands(self, asked: Market) -> None:
        self.answer(asked, "rejected")
        assert self.answer(asked, "approved").answer == "rejected"

    def test_an_answer_about_a_version_that_was_edited_meanwhile_makes_no_envelope(self, asked: Market) -> None:
        asked.edit()
        with pytest.raises(JobFailed, match="is at version 2; the answer was about version 1"):
            self.answer(asked, "approved")
        assert asked.count("approvals") == 0

    def test_the_question_shows_the_first_version_for_ever(self, asked: Market) -> None:
        asked.edit()
        again = asked.pipeline.spend_question("job-1", run_id=RUN, task_id="approve")
        assert (again.shown_version, again.manifest.version) == (1, 2)

    def test_an_answer_to_a_question_nobody_asked_is_refused(self, asked: Market) -> None:
        with pytest.raises(JobFailed, match="nothing was shown"):
            asked.pipeline.answer_spend("job-1", "approved", by="ada", run_id="other", task_id="approve")

    def test_the_envelope_never_exceeds_what_the_job_has_left(self, market: Market) -> None:
        market.bought(budget_usd=0.5)
        market.pipeline.settle(RUN)
        asked = market.pipeline.ask("job-1", run_id=RUN)
        assert asked.amount == 380_000

    def test_the_question_waits_as_long_as_the_preset_says(self, asked: Market) -> None:
        question = asked.pipeline.spend_question("job-1", run_id=RUN, task_id="approve")
        assert question.answer_within == timedelta(hours=24)
        with asked.ledger.read() as conn:
            assert database_now(conn)
