"""From an order to an envelope: nothing is taken that cannot be made, and nobody's word counts for more than was shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aiprod import ordering
from aiprod.errors import JobConflict, JobFailed, JobMoved, SamePerson, SpecError
from aiprod.ledger import Ledger, approvals, jobs
from aiprod.models import USD, JobSpec
from tests.desk import race_of_processes
from tests.market import LONG_AGO, RUN, Market

TABLES = ("jobs", "manifests", "runs", "approvals", "purchases", "decisions", "outbox", "metric_outbox")


def _counts(market: Market) -> dict[str, int]:
    return {table: market.count(table) for table in TABLES}


def _answer(market: Market, word: Any, *, version: int = 1, by: str = "ann", run_id: str = RUN) -> ordering.Asked:
    return ordering.answer_spend(market.ledger, market.catalog, "job-1", version, word, by=by, run_id=run_id)


# --- taking an order ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "says"),
    [
        ({"backend": "nobody"}, "backend: 'nobody' is unknown; known: auto, runway, veo3, replicate, animatic"),
        ({"preset": "grand"}, "preset: 'grand' is unknown; known: quick_social, brand_campaign, premium_spot"),
        ({"seconds": 31}, "seconds: 31 s asked, but preset quick_social allows 30 s at most"),
        ({"budget_usd": "0.05"}, "budget_usd: $0.05 cannot pay for this video"),
        ({"seconds": 30, "budget_usd": "1"}, "the cheapest way to make it costs $3.00"),
        ({"aspect_ratio": "4:3"}, "runway gen4.5 has no 4:3"),
        ({"preset": "brand_campaign", "quality_floor": 0.99}, "is below the floor of 0.99"),
        ({"reference_image_url": "https://example.com/a.jpg", "backend": "replicate"}, "takes no reference image"),
        ({"colour": "red"}, "colour: unknown field"),
    ],
)
def test_an_order_that_cannot_be_made_writes_nothing(local_market: Market, order: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError) as refused:
        local_market.order(**order)
    assert any(says in line for line in refused.value.problems), refused.value.problems
    assert not any("\n" in line for line in refused.value.problems)
    assert set(_counts(local_market).values()) == {0}


def test_an_order_over_its_budget_is_told_what_fits_and_that_does(local_market: Market) -> None:
    with pytest.raises(SpecError) as refused:
        local_market.order(seconds=30, budget_usd="1.50")
    assert refused.value.problems == (
        "budget_usd: $1.50 cannot pay for this video; the cheapest way to make it costs $3.00; "
        "10 s of it would fit at replicate, for $1.00",
    )
    assert local_market.order(seconds=10, budget_usd="1.50") == "job-1"


def test_a_backend_that_is_not_configured_is_refused_by_name(local_market: Market) -> None:
    local_market.with_backend("runway", needs=("A_KEY_NOBODY_SET",))
    with pytest.raises(SpecError, match="runway not configured: A_KEY_NOBODY_SET is not set"):
        local_market.order(backend="runway")


def test_the_same_order_again_is_the_same_job_and_buys_nothing(market: Market) -> None:
    market.approved()
    market.run("job-1")
    before = market.states()
    again = ordering.enter(
        market.ledger, market.catalog, {"prompt": "a lighthouse", "seconds": 1, "job_id": "job-1"}, job_id="x", run_id="run-2"
    )
    assert (again.job_id, again.version, again.new) == ("job-1", 1, False)
    assert market.pipeline.ask("job-1", run_id="run-2").sequence == 1
    market.run("job-1")
    assert market.states() == before
    assert len(market.accepts()) == 1


def test_another_order_under_the_same_id_is_a_conflict(market: Market) -> None:
    market.order()
    before = _counts(market)
    with pytest.raises(JobConflict, match="job-1 already names another order"):
        market.order("another lighthouse")
    assert _counts(market) == before


def test_processes_that_enter_the_same_order_at_the_same_moment_enter_one_job(market: Market) -> None:
    assert race_of_processes(3, lambda n: market.order(run_id=f"run-{n}")) == ["job-1"] * 3
    assert {table: market.count(table) for table in ("jobs", "manifests", "runs")} == {"jobs": 1, "manifests": 1, "runs": 3}


def test_of_two_orders_that_race_for_one_id_one_is_taken_whole_and_the_other_refused_whole(market: Market) -> None:
    answers = race_of_processes(2, lambda n: market.order(f"order {n}", run_id=f"run-{n}"))
    assert sorted(map(str, answers)) == ["JobConflict", "job-1"]
    with market.ledger.read() as conn:
        (shot,) = jobs.priced(conn, "job-1", 1).manifest.shots
    assert shot.prompt == f"order {answers.index('job-1')}"
    assert market.count("manifests") == market.count("runs") == 1


def test_an_order_without_a_name_gets_the_one_it_is_given(local_market: Market) -> None:
    entered = ordering.enter(local_market.ledger, local_market.catalog, {"prompt": "a", "seconds": 1}, job_id="given", run_id=RUN)
    assert entered.job_id == "given"


def test_the_preview_is_never_a_silent_stand_in(local_market: Market) -> None:
    def backends(**spec: Any) -> tuple[str, ...]:
        with local_market.ledger.read() as conn:
            return jobs.priced(conn, local_market.order(**spec), 1).backends

    assert backends(job_id="auto") == ("runway", "veo3", "replicate")
    assert backends(job_id="asked", backend="animatic") == ("animatic",)
    for name in ("runway", "veo3", "replicate"):
        local_market.with_backend(name, adapter=None)
    assert backends(job_id="alone") == ("animatic",)


def test_with_no_backend_at_all_the_order_is_refused(local_market: Market) -> None:
    for name in local_market.catalog.backends:
        local_market.with_backend(name, adapter=None)
    with pytest.raises(SpecError, match="animatic not configured: this release has no adapter"):
        local_market.order()


@pytest.mark.parametrize("backend", ["runway", "veo3", "replicate"])
def test_what_was_estimated_is_what_is_held_is_what_is_charged(market: Market, backend: str) -> None:
    market.bought(backend=backend, seconds=3)
    with market.ledger.read() as conn:
        (line,) = jobs.priced(conn, "job-1", 1).estimate.lines
    bought = market.only()
    assert line.quote == bought.hold == bought.charged == market.balance().settled


def test_pricing_touches_no_ledger(local_market: Market) -> None:
    spec = JobSpec(prompt="a", seconds=1)
    manifest, priced, backends = ordering.price("job-1", spec, local_market.catalog, now=LONG_AGO)
    assert (len(manifest.shots), priced.expected, backends) == (1, 120_000, ("runway", "veo3", "replicate"))
    assert set(_counts(local_market).values()) == {0}


# --- who may say yes ------------------------------------------------------------------------------------


def test_automatic_approval_compares_the_envelope_and_not_the_expected_price(local_market: Market) -> None:
    """Expected $0.12, but every allowed attempt together could cost $0.62."""
    local_market.with_preset(auto_approve_usd="0.61")
    local_market.order()
    assert local_market.pipeline.ask("job-1", run_id=RUN).answer is None
    local_market.with_preset(auto_approve_usd="0.62")
    asked = local_market.pipeline.ask("job-1", run_id=RUN)
    assert (asked.answer, asked.amount, asked.by) == ("approved", 620_000, "preset quick_social")


def test_without_a_limit_a_person_is_asked_even_where_it_costs_nothing(local_market: Market) -> None:
    local_market.with_preset(auto_approve_usd=None)
    local_market.order(backend="animatic")
    asked = local_market.pipeline.ask("job-1", run_id=RUN)
    assert (asked.answer, asked.amount) == (None, 0)
    assert local_market.count("approvals") == 0


def test_the_envelope_is_never_more_than_the_jobs_budget(local_market: Market) -> None:
    local_market.order(budget_usd="0.25")
    assert local_market.pipeline.ask("job-1", run_id=RUN).amount == 250_000


def test_a_budget_of_a_fraction_of_a_micro_dollar_is_rounded_down(local_market: Market) -> None:
    local_market.order(budget_usd="0.2500009")
    assert local_market.pipeline.ask("job-1", run_id=RUN).amount == 250_000


def test_asking_again_finds_the_answer_that_stands(market: Market) -> None:
    first = market.pipeline.ask(market.order(), run_id=RUN)
    assert market.pipeline.ask("job-1", run_id=RUN) == first
    assert market.count("approvals") == 1


def test_a_person_is_asked_where_the_preset_says_so(local_market: Market) -> None:
    local_market.order(preset="brand_campaign")
    assert local_market.pipeline.ask("job-1", run_id=RUN).answer is None
    assert local_market.count("approvals") == 0
    question = local_market.pipeline.spend_question("job-1", run_id=RUN, task_id="approve")
    assert (question.amount, question.budget_left, question.preset) == (620_000, 100 * USD, "brand_campaign")


def test_of_two_answers_the_first_stands(market: Market) -> None:
    market.order(preset="brand_campaign")
    assert _answer(market, "rejected", by="ann").answer == "rejected"
    late = _answer(market, "approved", by="bob")
    assert (late.answer, late.by) == ("rejected", "ann")
    with pytest.raises(JobFailed, match="has no approval"):
        market.pipeline.route(["job-1"], 1)


def test_of_answers_at_the_same_moment_one_stands_for_all(market: Market) -> None:
    market.order(preset="brand_campaign")
    words = ("approved", "rejected") * 2
    heard = race_of_processes(4, lambda n: _answer(market, words[n], by=f"person {n}").answer)
    assert len(set(heard)) == 1
    assert market.count("approvals") == 1


@pytest.mark.postgres
@pytest.mark.parametrize("after", ["latest", "next_sequence"])
@pytest.mark.parametrize("second", ["ask", "answer"])
def test_an_answer_that_comes_while_another_is_written_stands(
    postgres_url: str, open_market: Callable[[Ledger, str], Market], monkeypatch: pytest.MonkeyPatch, second: str, after: str
) -> None:
    """Every statement there sees what was committed before it, so two looks may see two worlds. SQLite lets only one in."""
    market = open_market(Ledger(postgres_url), "ListingVendor")
    market.order()
    real, between = getattr(approvals, after), [True]

    def look(*args: Any, **kwargs: Any) -> Any:
        seen = real(*args, **kwargs)
        if between:
            between.clear()
            assert _answer(market, "rejected", by="ann").answer == "rejected"
        return seen

    monkeypatch.setattr(approvals, after, look)
    said = market.pipeline.ask("job-1", run_id=RUN) if second == "ask" else _answer(market, "approved", by="bob")
    assert (said.answer, said.by, said.sequence) == ("rejected", "ann", 1)
    assert market.count("approvals") == 1


def test_an_answer_about_another_version_makes_no_envelope(market: Market) -> None:
    market.order(preset="brand_campaign")
    assert market.pipeline.spend_question("job-1", run_id=RUN, task_id="approve").shown_version == 1
    market.edit()
    with pytest.raises(JobFailed, match="job-1 is at version 2; the answer was about version 1"):
        market.pipeline.answer_spend("job-1", "approved", by="ann", run_id=RUN, task_id="approve")
    with pytest.raises(JobFailed, match="at version 2"):
        _answer(market, "approved", version=1)
    assert market.count("approvals") == 0
    # Airflow goes on showing what it showed first, so its answer goes on counting for that.
    assert market.pipeline.spend_question("job-1", run_id=RUN, task_id="approve").shown_version == 1
    assert _answer(market, "approved", version=2).answer == "approved"


def test_an_answer_to_what_was_never_shown_is_refused(local_market: Market) -> None:
    local_market.order(preset="brand_campaign")
    with pytest.raises(JobFailed, match="nothing was shown"):
        local_market.pipeline.answer_spend("job-1", "approved", by="ann", run_id=RUN, task_id="approve")


def test_after_settle_an_old_approval_is_used_up(market: Market) -> None:
    market.order(preset="brand_campaign")
    _answer(market, "approved")
    market.pipeline.settle(RUN)
    assert market.pipeline.ask("job-1", run_id=RUN).answer is None
    assert _answer(market, "approved").sequence == 2


def test_clearing_the_whole_run_also_asks_again(market: Market) -> None:
    """`estimate` runs again too; the approval that the first go used up must not come back with it."""
    market.order(preset="brand_campaign")
    _answer(market, "approved")
    market.pipeline.settle(RUN)
    market.order(preset="brand_campaign")
    assert market.pipeline.ask("job-1", run_id=RUN).answer is None
    assert _answer(market, "approved").sequence == 2
    assert market.pipeline.ask("job-1", run_id=RUN).answer == "approved"


def test_what_is_left_is_what_is_asked_for_the_second_time(market: Market) -> None:
    market.with_preset(budget_usd="0.70")
    market.approved("a lighthouse [[runway=fail-charged]]")
    market.run("job-1", rounds=1)
    market.pipeline.settle(RUN)
    assert market.pipeline.ask("job-1", run_id=RUN).amount == 580_000


def test_an_approval_that_ran_out_asks_again(market: Market) -> None:
    market.order(preset="brand_campaign")
    _answer(market, "approved")
    market.age("approvals", "expires_at")
    assert market.pipeline.ask("job-1", run_id=RUN).answer is None
    assert _answer(market, "approved").sequence == 2


def test_a_question_nobody_answered_stays_expired_for_the_run(local_market: Market) -> None:
    local_market.order(preset="brand_campaign")
    _answer(local_market, "expired", by="nobody")
    assert local_market.pipeline.ask("job-1", run_id=RUN).answer == "expired"
    assert _answer(local_market, "approved").answer == "expired"


def test_an_unknown_job_is_named(local_market: Market) -> None:
    with pytest.raises(JobFailed, match="ghost"):
        local_market.pipeline.ask("ghost", run_id=RUN)


# --- answers over the API -------------------------------------------------------------------------------


def _seen(market: Market, word: Any, *, by: str = "bob", amount: int | None = None, version: int = 1) -> ordering.Asked:
    """An answer by who saw the amount that is asked for, or says another."""
    if amount is None:
        with market.ledger.read() as conn:
            amount = ordering.amount_asked(conn, market.catalog, "job-1", version)
    return market.pipeline.answer_money("job-1", word, version=version, amount=amount, by=by)


class TestAnswerMoney:
    @pytest.fixture
    def asked(self, local_market: Market) -> Market:
        """A person is asked."""
        local_market.order(preset="brand_campaign")
        local_market.pipeline.spend_question("job-1", run_id=RUN, task_id="approve")
        return local_market

    def test_the_amount_that_was_seen_is_the_amount_that_is_approved(self, asked: Market) -> None:
        for wrong in (619_999, 620_001, 0):
            with pytest.raises(JobMoved, match=r"job-1 asks for \$0\.62 now; the answer was about"):
                _seen(asked, "approved", amount=wrong)
        assert asked.count("approvals") == 0
        assert _seen(asked, "approved", amount=620_000).amount == 620_000

    def test_an_amount_that_changed_meanwhile_is_not_approved(self, asked: Market) -> None:
        """An admin lowers the job's own cap between the look and the word."""
        asked.with_preset("brand_campaign", budget_usd="0.5")
        with pytest.raises(JobMoved, match=r"asks for \$0\.50 now"):
            _seen(asked, "approved", amount=620_000)

    def test_of_two_at_once_one_is_told_and_a_repetition_is_not(self, asked: Market) -> None:
        first = _seen(asked, "approved", by="bob")
        assert _seen(asked, "approved", by="bob", amount=first.amount) == first
        for by, word, amount in (("cid", "approved", 620_000), ("bob", "rejected", 620_000), ("bob", "approved", 1)):
            with pytest.raises(JobMoved, match="was approved by bob"):
                _seen(asked, word, by=by, amount=amount)

    def test_nobody_is_asked_about_a_job_that_is_over_or_cancelled(self, asked: Market) -> None:
        asked.pipeline.settle(RUN)
        with pytest.raises(JobMoved, match="job job-1 is failed; its money waits for nobody's word"):
            _seen(asked, "approved")
        asked.pipeline.cancel("job-1", by="eve")
        with pytest.raises(JobMoved, match="cancelled by eve"):
            _seen(asked, "approved")

    def test_a_run_that_asks_anew_takes_a_new_answer_from_the_api(self, asked: Market) -> None:
        """Nobody answered in time, `approve` was cleared, and the answer that ran out must not stand in the way."""
        _answer(asked, "expired", by="nobody")
        asked.pipeline.settle(RUN)
        assert asked.pipeline.ask("job-1", run_id=RUN).answer is None
        asked.pipeline.spend_question("job-1", run_id=RUN, task_id="approve")
        assert _seen(asked, "approved").sequence == 2


class TestFourEyes:
    @pytest.fixture
    def asked(self, local_market: Market) -> Market:
        local_market.with_preset("brand_campaign", approver_differs=True)
        raw = {"prompt": "a lake", "seconds": 1, "preset": "brand_campaign", "job_id": "job-1"}
        local_market.pipeline.estimate([raw], run_id=RUN, job_id="job-1", by="ann")
        assert local_market.pipeline.spend_question("job-1", run_id=RUN, task_id="approve").not_by == "ann"
        return local_market

    @pytest.mark.parametrize("word", ["approved", "rejected"])
    def test_who_ordered_has_no_word_over_the_api_or_in_airflow(self, asked: Market, word: Any) -> None:
        with pytest.raises(SamePerson, match="ann ordered job job-1"):
            _seen(asked, word, by="ann")
        with pytest.raises(SamePerson):
            asked.pipeline.answer_spend("job-1", word, by="Ann", run_id=RUN, task_id="approve")
        assert asked.count("approvals") == 0
        assert asked.pipeline.answer_spend("job-1", word, by="bob", run_id=RUN, task_id="approve").answer == word

    def test_a_question_that_ran_out_needs_no_second_person(self, asked: Market) -> None:
        assert asked.pipeline.answer_spend("job-1", "expired", by="nobody", run_id=RUN, task_id="approve").answer == "expired"


def test_a_cancelled_job_asks_nobody_and_its_run_ends(local_market: Market) -> None:
    local_market.order(preset="brand_campaign")
    local_market.pipeline.cancel("job-1", by="eve")
    asked = local_market.pipeline.ask("job-1", run_id=RUN)
    assert (asked.answer, asked.by) == ("rejected", "eve (cancelled)")
    assert local_market.count("approvals") == 0
    assert local_market.pipeline.settle(RUN) == ["job-1: cancelled, 0 unused holds given back"]


def test_presets_approve_their_limit_once_per_job_however_often_they_are_asked(local_market: Market) -> None:
    """Clearing `approve` used to grant the same again: a job was never dearer than its budget, but dearer than this."""
    local_market.with_preset(auto_approve_usd="1", budget_usd="10")
    local_market.approved("[[runway=fail-charged]] [[veo3=fail-charged]] [[replicate=fail-charged]]")
    local_market.run("job-1")
    spent = local_market.balance().settled
    assert spent == 620_000
    local_market.pipeline.settle(RUN)
    again = local_market.pipeline.ask("job-1", run_id=RUN)
    assert (again.answer, again.amount) == (None, 620_000)
    local_market.with_preset(auto_approve_usd="1.24")
    assert local_market.pipeline.ask("job-1", run_id=RUN).answer == "approved"
