"""The order's decision table, to the letter; and every candidate wins or leaves with a reason."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.models import USD
from aiprod.pricing import legal_request, quote
from aiprod.routing import Facts, route
from tests.desk import manifest, request

VENDORS = ("runway", "veo3", "replicate")
PLENTY = 10**12


def facts(backend, *, usd=1.0, quality=0.9, seconds=60.0, headroom=PLENTY, **changes):
    values = {
        "backend": backend,
        "request": request(backend=backend, model=f"{backend}-1"),
        "quote": int(usd * USD),
        "quality": quality,
        "expected_seconds": seconds,
        "headroom": headroom,
        "tightest": "the envelope",
        **changes,
    }
    return Facts(**values)


def choose(*known, floor=0.6, prefer="quality", may_degrade=False):
    return route(1, known, floor=floor, prefer=prefer, may_degrade=may_degrade)


def lost(decision):
    return {c.backend: c.lost for c in decision.candidates if c.lost}


class TestTheOrdersTable:
    """Tariff phase3, 5 s without sound, floor 0.6 unless said otherwise."""

    @pytest.fixture
    def known(self, config):
        def build(headroom=PLENTY, unhealthy=()):
            made = manifest()
            found = []
            for name in VENDORS:
                entry = config.backends[name]
                legal = legal_request(name, entry, made, made.shots[0])
                price = quote(config.tariffs["phase3"], legal, date(2026, 11, 23))
                found.append(
                    Facts(
                        backend=name,
                        request=legal,
                        quote=price,
                        healthy=name not in unhealthy,
                        quality=entry.quality_prior,
                        expected_seconds=entry.expected_seconds,
                        headroom=headroom,
                        tightest="the job's budget",
                    )
                )
            return found

        return build

    @pytest.mark.parametrize(
        ("budget", "winner"),
        [
            (PLENTY, "runway"),
            (30 * USD, "runway"),
            (29_990_000, "veo3"),
            (5 * USD, "veo3"),
            (2_600_000, "veo3"),
            (2_590_000, "replicate"),
            (1 * USD, "replicate"),
            (260_000, "replicate"),
            (250_000, None),
            (0, None),
        ],
        ids=["none", "30", "29.99", "5", "2.60", "2.59", "1", "0.26", "0.25", "0"],
    )
    def test_the_budget_decides_as_the_order_says(self, known, budget, winner):
        assert choose(*known(budget)).chosen == winner

    def test_whoever_is_too_dear_says_what_it_costs_and_what_is_left(self, known):
        assert lost(choose(*known(2_590_000))) == {
            "runway": "costs $30.00, the job's budget has $2.59 left",
            "veo3": "costs $2.60, the job's budget has $2.59 left",
        }

    def test_a_refusal_gives_every_reason(self, known):
        decision = choose(*known(250_000))
        assert set(lost(decision)) == set(VENDORS)
        assert "Shot 1: no backend can take it (runway: costs $30.00" in str(decision)

    def test_speed_takes_the_fastest_that_meets_the_floor(self, known):
        assert choose(*known(), prefer="speed").chosen == "replicate"
        fast = choose(*known(), prefer="speed", floor=0.8)
        assert fast.chosen == "veo3"
        assert lost(fast) == {"runway": "slower", "replicate": "expected quality 0.75 is below the floor of 0.8"}

    @pytest.mark.parametrize("budget", [PLENTY, 5 * USD, 1 * USD])
    @pytest.mark.parametrize("prefer", ["quality", "speed", "cost"])
    def test_a_floor_of_080_never_goes_to_replicate(self, known, budget, prefer):
        assert choose(*known(budget), floor=0.8, prefer=prefer).chosen != "replicate"

    def test_cost_takes_the_cheapest(self, known):
        decision = choose(*known(), prefer="cost")
        assert decision.chosen == "replicate"
        assert lost(decision) == {"runway": "dearer", "veo3": "dearer"}

    def test_an_unhealthy_runway_leaves_it_to_veo(self, known):
        decision = choose(*known(unhealthy=("runway",)))
        assert decision.chosen == "veo3"
        assert lost(decision) == {"runway": "unhealthy", "replicate": "lower expected quality"}


class TestRules:
    def test_the_first_reason_that_counts_is_given(self):
        hopeless = {"healthy": False, "quality": 0.1, "headroom": 0, "barred": "moderated this shot"}
        reasons = [
            lost(choose(facts("a", **hopeless, request=None, quote=None, unfit="has no sound")))["a"],
            lost(choose(facts("a", **hopeless)))["a"],
            lost(choose(facts("a", **{**hopeless, "barred": ""})))["a"],
            lost(choose(facts("a", quality=0.1, headroom=0)))["a"],
            lost(choose(facts("a", headroom=0)))["a"],
        ]
        assert reasons == [
            "has no sound",
            "moderated this shot",
            "unhealthy",
            "expected quality 0.1 is below the floor of 0.6",
            "costs $1.00, the envelope has $0.00 left",
        ]

    def test_a_tie_goes_to_whoever_is_first_in_the_fallback_order(self):
        decision = choose(facts("a"), facts("b"), facts("c"))
        assert (decision.chosen, lost(decision)) == ("a", dict.fromkeys("bc", "later in the fallback order"))
        assert choose(facts("c"), facts("a")).chosen == "c"

    def test_who_was_tried_goes_after_who_was_not_whatever_their_quality(self):
        decision = choose(facts("a", quality=0.99, tried=1), facts("b", quality=0.7))
        assert (decision.chosen, lost(decision)) == ("b", {"a": "tried before for this shot"})
        assert choose(facts("a", tried=2), facts("b", tried=1)).chosen == "b"

    def test_who_was_tried_is_tried_again_when_nobody_else_can(self):
        assert choose(facts("a", tried=1), facts("b", healthy=False)).chosen == "a"

    def test_the_preview_has_no_quality_and_is_exempt_from_the_floor(self):
        decision = choose(facts("animatic", usd=0, quality=None), floor=0.9)
        assert (decision.chosen, decision.degraded, decision.candidates[0].quality) == ("animatic", False, None)

    def test_but_it_never_beats_a_vendor_on_quality(self):
        assert choose(facts("animatic", usd=0, quality=None), facts("a", quality=0.61)).chosen == "a"

    def test_an_exact_fit_in_quality_and_money_is_fit(self):
        assert choose(facts("a", quality=0.6, usd=1, headroom=USD)).chosen == "a"
        assert choose(facts("a", usd=1, headroom=USD - 1)).chosen is None

    def test_what_costs_nothing_fits_in_nothing_but_not_in_less(self):
        assert choose(facts("a", usd=0, headroom=0)).chosen == "a"
        assert choose(facts("a", usd=0, headroom=-1)).chosen is None

    def test_ranks_are_given_to_all_that_qualify(self):
        decision = choose(facts("a", quality=0.7), facts("b", quality=0.9), facts("c", healthy=False))
        assert {c.backend: c.rank for c in decision.candidates} == {"a": 2, "b": 1, "c": None}


class TestDegrading:
    BELOW = (facts("a", quality=0.5), facts("b", quality=0.55))

    def test_a_floor_nobody_meets_refuses_the_shot(self):
        assert choose(*self.BELOW).chosen is None

    def test_unless_the_preset_allows_and_then_it_says_so(self):
        decision = choose(*self.BELOW, may_degrade=True)
        assert (decision.chosen, decision.degraded, lost(decision)) == ("b", True, {"a": "lower expected quality"})

    def test_nothing_is_degraded_while_somebody_meets_the_floor(self):
        decision = choose(*self.BELOW, facts("c", quality=0.6), may_degrade=True)
        assert (decision.chosen, decision.degraded) == ("c", False)

    def test_only_the_floor_is_waived_and_the_other_reason_is_the_one_given(self):
        decision = choose(facts("a", quality=0.5), facts("b", quality=0.55, usd=9, headroom=USD), may_degrade=True)
        assert decision.chosen == "a"
        assert lost(decision) == {"b": "costs $9.00, the envelope has $1.00 left"}

    def test_when_nobody_can_even_then_the_floor_stays_the_reason(self):
        decision = choose(facts("a", quality=0.5, usd=9, headroom=USD), may_degrade=True)
        assert (decision.chosen, decision.degraded) == (None, False)
        assert "below the floor" in lost(decision)["a"]


CANDIDATE = st.builds(
    dict,
    usd=st.sampled_from([0, 0.26, 2.6, 30]),
    quality=st.none() | st.sampled_from([0.5, 0.75, 0.92, 0.95]),
    seconds=st.sampled_from([5.0, 60.0, 75.0, 90.0]),
    headroom=st.integers(-USD, 40 * USD),
    healthy=st.booleans(),
    tried=st.integers(0, 2),
    barred=st.sampled_from(["", "moderated this shot"]),
)


class TestAlways:
    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(CANDIDATE, max_size=5),
        st.sampled_from([0.0, 0.6, 0.8, 0.9]),
        st.sampled_from(["quality", "speed", "cost"]),
        st.booleans(),
    )
    def test_the_winner_fits_and_every_loser_has_a_reason(self, given_facts, floor, prefer, may_degrade):
        known = [facts(f"b{n}", **values) for n, values in enumerate(given_facts)]
        decision = choose(*known, floor=floor, prefer=prefer, may_degrade=may_degrade)
        assert [c.backend for c in decision.candidates] == [f.backend for f in known]
        assert {c.backend for c in decision.candidates if not c.lost} == ({decision.chosen} if decision.chosen else set())
        if decision.chosen is None:
            return
        winner = next(f for f in known if f.backend == decision.chosen)
        assert decision.quote == winner.quote <= winner.headroom
        assert winner.healthy and not winner.barred
        assert decision.degraded is (winner.quality is not None and winner.quality < floor)
        assert may_degrade or not decision.degraded
        assert str(decision).startswith(f"Shot 1 goes to {winner.backend}")

    @settings(max_examples=100, deadline=None)
    @given(st.lists(CANDIDATE, min_size=1, max_size=4), st.sampled_from(["quality", "speed", "cost"]))
    def test_nobody_who_qualifies_and_was_tried_less_is_passed_over(self, given_facts, prefer):
        known = [facts(f"b{n}", **values) for n, values in enumerate(given_facts)]
        decision = choose(*known, prefer=prefer)
        if decision.chosen is not None:
            winner = next(f for f in known if f.backend == decision.chosen)
            qualified = [f for f in known if {c.backend: c.rank for c in decision.candidates}[f.backend]]
            assert winner.tried == min(f.tried for f in qualified)


class TestAfterARejectedTake:
    """The better expected gain per dollar goes next, and the decision says so."""

    def after(self, *known, best=0.0, **rules):
        return route(1, known, floor=0.6, prefer="quality", may_degrade=False, best=best, **rules)

    def test_gain_is_the_chance_of_a_better_take_times_how_much_better_it_is_per_dollar(self):
        assert facts("veo3", usd=2.0, quality=0.9).gain(0.0) == pytest.approx(0.9 * 0.9 / 2)
        assert facts("veo3", usd=2.0, quality=0.9, tried=1).gain(0.5) == pytest.approx(0.225 * 0.4 / 2)
        assert facts("veo3", quality=0.5).gain(0.7) == 0.0
        assert facts("animatic", quality=None).gain(0.0) == 0.0

    def test_another_backend_goes_next_where_a_dollar_gains_more_there(self):
        made = self.after(facts("runway", usd=1.0, tried=1), facts("veo3", usd=2.0), facts("replicate", usd=0.4, quality=0.75))
        assert made.chosen == "replicate"
        assert "a take was rejected, and expected gain per dollar is best, 1.41." in str(made)
        assert lost(made) == {"runway": "expected gain 0.203 per dollar", "veo3": "expected gain 0.405 per dollar"}

    def test_the_same_backend_goes_again_with_a_new_seed_where_the_others_are_dear(self):
        made = self.after(facts("runway", usd=0.1, tried=1), facts("veo3", usd=2.0))
        assert made.chosen == "runway"
        assert "there again with a new seed" in str(made)

    def test_the_very_same_clip_is_bought_again_only_when_there_is_nobody_else(self):
        again = facts("runway", usd=0.1, tried=1, same_clip=True)
        assert self.after(again, facts("veo3", usd=2.0)).chosen == "veo3"
        assert self.after(again).chosen == "runway"

    def test_it_never_buys_what_there_is_no_money_for(self):
        made = self.after(facts("runway", usd=0.5, tried=1, headroom=400_000), facts("veo3", usd=2.0, headroom=400_000))
        assert made.chosen is None and made.short_of_money

    def test_before_anything_was_rejected_who_was_not_tried_goes_first(self):
        assert choose(facts("runway", usd=0.1, tried=1), facts("veo3", usd=2.0)).chosen == "veo3"
