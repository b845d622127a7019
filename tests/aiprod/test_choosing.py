"""What a shot may cost, who may make it and who was tried: every choice rests on what the ledger knows."""

from __future__ import annotations

from typing import Any

import pytest

from aiprod import choosing, sourcing
from aiprod.errors import BackendError, FailureKind, JobFailed, SubmitRejected
from aiprod.models import USD, Accepted, RenderRequest
from tests.market import Market
from tests.vendor import Vendor

TWO_SHOTS = [{"prompt": f"shot {n}", "seconds": 1} for n in (1, 2)]


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (FailureKind.AUTH, "refused our credentials before"),
        (FailureKind.INVALID_INPUT, "refused this shot before"),
        (FailureKind.MODERATED, "moderated this shot before"),
        (FailureKind.QUOTA_EXHAUSTED, "is out of quota before"),
    ],
)
def test_who_would_say_the_same_again_is_not_asked_again(
    local_market: Market, monkeypatch: pytest.MonkeyPatch, kind: FailureKind, why: str
) -> None:
    def refuses(self: Vendor, request: RenderRequest, *, key: str) -> Accepted:
        raise SubmitRejected("HTTP 400", kind=kind)

    with monkeypatch.context() as refusing:
        refusing.setattr(Vendor, "submit", refuses)
        local_market.bought()
    assert local_market.pipeline.route(["job-1"], 2) == ["veo3"]
    assert local_market.reasons()["runway"] == why


def test_a_backend_that_failed_the_shot_is_asked_again_only_after_the_others(market: Market) -> None:
    market.approved("a lighthouse [[runway=fail]] [[veo3=fail]] [[replicate=fail]]")
    market.run("job-1", rounds=4)
    assert [name for name, _ in market.states()] == ["runway", "veo3", "replicate", "runway"]
    assert {decision.chosen: decision.candidates[0].lost for _, _, decision in market.decisions()} == {
        "veo3": "tried before for this shot",
        "replicate": "tried before for this shot",
        "runway": "",
    }


def test_after_a_rejected_take_the_same_backend_goes_again_with_a_new_seed_where_a_dollar_gains_more_there(
    local_market: Market,
) -> None:
    for name, prior in (("veo3", 0.61), ("replicate", 0.5)):
        local_market.with_backend(name, quality_prior=prior)
    local_market.approved("a lighthouse [[runway=html]]")
    local_market.run("job-1", rounds=2)
    first, second = local_market.purchases()
    assert (first.backend, second.backend) == ("runway", "runway")
    assert first.render_request.seed != second.render_request.seed
    assert "there again with a new seed" in str(local_market.decisions()[-1][2])


# --- what stops a shot ----------------------------------------------------------------------------------


def test_attempts_per_shot_are_counted_over_every_round(local_market: Market) -> None:
    local_market.with_preset(attempts_per_shot=2)
    local_market.approved("a lighthouse [[runway=html]] [[replicate=fail-charged]]")
    local_market.run("job-1", rounds=2)
    assert "all 2 attempts of the approval are used" in local_market.refusal(3)
    assert len(local_market.accepts()) == 2


def test_a_free_failure_uses_up_no_attempt(local_market: Market) -> None:
    local_market.with_preset(attempts_per_shot=2)
    local_market.approved("a lighthouse [[runway=fail]] [[veo3=reject]]")
    local_market.run("job-1", rounds=3)
    assert local_market.states()[-1] == ("replicate", "succeeded")


def test_a_lost_answer_uses_up_an_attempt(mute_market: Market) -> None:
    mute_market.with_preset(attempts_per_shot=1)
    mute_market.bought("a lighthouse [[runway=lose]]")
    assert "all 1 attempts" in mute_market.refusal(2)


def test_the_envelope_stops_a_shot_and_is_named(market: Market) -> None:
    market.approved()
    market.sql("UPDATE approvals SET amount = 1000")
    assert "the envelope job-1/1/1 has $0.001 left" in market.refusal()
    assert market.purchases() == []


def test_the_jobs_budget_stops_a_shot_and_is_named(market: Market) -> None:
    """Two envelopes of one job never add up to more than its budget."""
    market.approved("a lighthouse [[runway=fail-charged]] [[veo3=fail-charged]] [[replicate=fail-charged]]", budget_usd="0.13")
    market.run("job-1", rounds=1)
    market.pipeline.settle("run-1")
    assert market.pipeline.ask("job-1", run_id="run-1").amount == 10_000
    market.sql("UPDATE approvals SET amount = :much", much=5 * USD)
    assert "the job's budget job-1 has $0.01 left" in market.refusal(2)
    assert market.balance().settled == 120_000


def test_the_days_budget_stops_a_shot_and_is_named(market: Market) -> None:
    market.with_budgets(day_usd="0.15")
    market.bought()
    market.approved(job_id="job-2")
    with pytest.raises(JobFailed, match=r"runway: costs \$0\.12, the day's budget \d{4}-\d\d-\d\d@UTC has \$0\.03 left"):
        market.pipeline.route(["job-2"], 1)
    assert market.purchases("job-2") == []
    assert len(market.accepts()) == 1


def test_a_projects_budget_stops_its_jobs_and_no_others_and_is_named(market: Market) -> None:
    market.with_budgets(project_usd={"acme": "0.10"})
    market.approved(project="acme", backend="runway")
    assert "runway: costs $0.12, project acme has $0.10 left" in market.refusal()
    assert market.purchases() == []
    market.approved(job_id="job-2")
    assert market.pipeline.route(["job-2"], 1) == ["runway"]


def test_a_backends_own_cap_moves_the_shot_on(market: Market) -> None:
    market.with_budgets(backend_day_usd={"runway": "0.10"})
    market.routed()
    assert market.states() == [("veo3", "held")]
    assert "the day's budget of runway" in str(market.decisions()[0][2])


def test_what_nobody_can_take_is_recorded_with_every_reason(local_market: Market) -> None:
    local_market.approved()
    local_market.sql("UPDATE approvals SET amount = 1000")
    local_market.refusal()
    ((_, purchase_id, decision),) = local_market.decisions()
    assert purchase_id is None and decision.chosen is None
    assert all("the envelope" in c.lost for c in decision.candidates)


def test_a_backend_that_the_approval_does_not_name_is_never_asked(local_market: Market) -> None:
    local_market.approved("a lighthouse [[veo3=fail]]")
    local_market.sql("""UPDATE approvals SET backends = '["veo3"]'""")
    assert local_market.pipeline.route(["job-1"], 1) == ["veo3"]
    local_market.render("veo3")
    local_market.pipeline.score(["job-1"], 1)
    assert local_market.pipeline.route(["job-1"], 2) == ["veo3"]


def test_a_floor_keeps_backends_out_that_are_expected_below_it(local_market: Market) -> None:
    local_market.approved("a lighthouse [[runway=fail]]", quality_floor=0.93)
    local_market.with_preset(may_degrade=False)
    local_market.run("job-1", rounds=1)
    local_market.pipeline.route(["job-1"], 2)
    assert local_market.states() == [("runway", "failed"), ("runway", "held")]


def test_a_floor_that_nobody_meets_stops_the_shot_where_the_preset_allows_no_less(local_market: Market) -> None:
    local_market.approved(quality_floor=0.99)
    local_market.with_preset(may_degrade=False)
    assert "is below the floor of 0.99" in local_market.refusal()
    assert local_market.purchases() == []


def test_an_unhealthy_backend_is_left_alone(market: Market) -> None:
    market.approved()
    market.sql("INSERT INTO backend_health (backend, strikes, unhealthy_since) VALUES ('runway', 3, :us)", us=2**52)
    assert market.pipeline.route(["job-1"], 1) == ["veo3"]
    assert "runway: unhealthy" in str(market.decisions()[0][2])


def test_three_failures_in_a_row_send_the_next_job_elsewhere(local_market: Market) -> None:
    for n in (1, 2, 3):
        local_market.bought("a lighthouse [[runway=fail]]", job_id=f"bad-{n}")
    local_market.routed(job_id="good")
    assert local_market.states("good") == [("veo3", "held")]


def test_a_backend_whose_key_went_away_is_passed_over(local_market: Market) -> None:
    local_market.approved()
    local_market.with_backend("runway", needs=("A_KEY_NOBODY_SET",))
    assert local_market.pipeline.route(["job-1"], 1) == ["veo3"]
    assert "A_KEY_NOBODY_SET is not set" in str(local_market.decisions()[0][2])


@pytest.mark.parametrize(("prefer", "chosen"), [("quality", "runway"), ("speed", "replicate"), ("cost", "replicate")])
def test_the_preference_of_the_order_decides(local_market: Market, prefer: str, chosen: str) -> None:
    local_market.approved(prefer=prefer)
    assert local_market.pipeline.route(["job-1"], 1) == [chosen]


def test_the_embedded_preview_is_configured_without_any_key(local_market: Market) -> None:
    for name in ("runway", "veo3", "replicate"):
        local_market.with_backend(name, adapter=None)
    assert choosing.configured(local_market.catalog) == ("animatic",)


def test_who_may_still_be_making_a_shot_is_not_asked_for_it_again(mute_market: Market) -> None:
    """A parked request may be running: bought there again, one shot would be paid twice at one vendor."""
    mute_market.bought("[[runway=lose]]", backend="runway")
    assert mute_market.states() == [("runway", "unknown")]
    mute_market.pipeline.score(["job-1"], 1)
    assert "runway: may still be making this shot" in mute_market.refusal(2)
    assert len(mute_market.accepts()) == 1


class TestObjections:
    """What a backend itself says of a shot, before money is set aside."""

    @pytest.fixture
    def picky(self, local_market: Market, monkeypatch: pytest.MonkeyPatch) -> Market:
        def validate(self: Vendor, request: RenderRequest) -> RenderRequest:
            if self.name == "runway" and "refused" in request.prompt:
                raise SubmitRejected("HTTP 422: prompt", kind=FailureKind.INVALID_INPUT)
            if self.name == "runway" and "unreachable" in request.prompt:
                raise BackendError("no route", kind=FailureKind.TRANSIENT, money_moved="no")
            return request.model_copy(update={"seconds": 9}) if "changed" in request.prompt and self.name == "runway" else request

        monkeypatch.setattr(Vendor, "validate", validate)
        return local_market

    @pytest.mark.parametrize(
        ("prompt", "why"),
        [("refused", "would not take it: HTTP 422"), ("unreachable", "no route"), ("changed", "would make something else of it")],
    )
    def test_it_keeps_the_shot_from_being_bought_there_and_is_written_down(self, picky: Market, prompt: str, why: str) -> None:
        picky.routed(prompt)
        assert [p.backend for p in picky.purchases()] == ["veo3"]
        assert why in picky.reasons()["runway"]

    def test_it_is_about_one_shot_and_not_about_its_neighbours(self, picky: Market) -> None:
        picky.routed(shots=[{"prompt": "refused", "seconds": 1}, {"prompt": "fine", "seconds": 1}])
        assert [p.backend for p in picky.purchases()] == ["veo3", "runway"]

    def test_no_vendor_is_asked_inside_a_transaction(self, picky: Market, monkeypatch: pytest.MonkeyPatch) -> None:
        inside: list[bool] = []
        ask = choosing.objections

        def watched(*args: Any, **options: Any) -> Any:
            with picky.ledger.write():  # would wait for itself inside another
                inside.append(False)
            return ask(*args, **options)

        monkeypatch.setattr(sourcing, "objections", watched)
        picky.routed("fine")
        assert inside == [False]
