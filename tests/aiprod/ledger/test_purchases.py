"""T1 to T7: every step from every state, once and again, with the money where it belongs after each."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from aiprod.budgets import Cap
from aiprod.errors import BudgetExceeded, FailureKind, KeyReused, PurchasingStopped, StaleState
from aiprod.ledger import gates, jobs, purchases
from aiprod.ledger.purchases import Purchase, purchase_key
from aiprod.ledger.schema import OPEN, STATES
from aiprod.ledger.states import CHARGED, STEPS, Step
from aiprod.models import USD, Decision
from tests.desk import HOUR, LEASE, NOW, errors, failure, race, race_of_processes, rows

MONEY = ("purchases", "caps", "legs", "postings")
EVERYTHING = (*MONEY, "outbox", "backend_health", "health_observations", "metric_outbox")


class TestEveryStepFromEveryState:
    """12 states × 11 steps, each pair tried from the same starting point and undone."""

    @pytest.fixture
    def in_every_state(self, desk):
        with desk.in_one_transaction():
            envelope = desk.order()
            return {
                state: desk.bring(desk.hold(envelope, shot=shot).purchase_id, state).purchase_id
                for shot, state in enumerate(STATES, start=1)
            }

    @staticmethod
    def pairs(*, allowed):
        return [(step, state) for step in Step for state in STATES if (state in STEPS[step][0]) is allowed]

    def test_the_two_tables_cover_every_pair(self):
        assert len(self.pairs(allowed=True)) + len(self.pairs(allowed=False)) == 12 * 11

    def test_an_allowed_step_leads_where_the_table_says_with_the_money_it_says(self, desk, in_every_state):
        for step, state in self.pairs(allowed=True):
            key, pair = in_every_state[state], f"{step} from {state}"
            with desk.undone():
                before = desk.balance("job", "job-1")
                assert desk.step(key, step) not in (False, None), pair
                after, purchase = desk.balance("job", "job-1"), desk.get(key)
                closes, charge = STEPS[step][1] not in OPEN, 5 * USD if step in CHARGED else 0
                assert purchase.state == STEPS[step][1], pair
                assert before.reserved - after.reserved == (7 * USD if closes else 0), pair
                assert after.settled - before.settled == charge, pair
                assert purchase.charged == (charge if closes else None), pair
                assert desk.audit() == [], pair

    def test_any_other_step_is_refused_and_changes_nothing(self, desk, in_every_state):
        """Except that a vendor's late word is booked: the test after the next."""
        for step, state in self.pairs(allowed=False):
            key, pair = in_every_state[state], f"{step} from {state}"
            if step is Step.ACCEPT:
                continue
            with desk.undone():
                before = desk.rows(*EVERYTHING)
                try:
                    refused = desk.step(key, step) is False
                except StaleState:
                    refused = True
                assert refused, pair
                assert desk.rows(*EVERYTHING) == before, pair

    def test_a_step_taken_twice_is_taken_once(self, desk, in_every_state):
        for step, state in self.pairs(allowed=True):
            key, pair = in_every_state[state], f"{step} from {state}"
            with desk.undone():
                desk.step(key, step)
                before = desk.rows(*EVERYTHING)
                if step is Step.CLAIM:
                    # Whoever comes second may not send: that is what a claim is for.
                    with pytest.raises(StaleState, match="is submitting"):
                        desk.step(key, step)
                else:
                    assert desk.step(key, step) is (step is Step.ACCEPT), pair
                assert desk.rows(*EVERYTHING) == before, pair

    def test_a_vendors_word_that_comes_too_late_is_booked_at_the_hold_and_told(self, desk, in_every_state):
        for state in [s for s in STATES if s not in STEPS[Step.ACCEPT][0] and s != "written_off"]:
            key = in_every_state[state]
            with desk.undone():
                before, charged = desk.balance("job", "job-1"), desk.get(key).charged or 0
                assert desk.accept(key, "another-render") is False, state
                after, purchase = desk.balance("job", "job-1"), desk.get(key)
                assert (purchase.state, purchase.charged) == (state, charged + 7 * USD), state
                assert (after.settled - before.settled, after.reserved) == (7 * USD, before.reserved), state
                assert desk.topics().count("duplicate_vendor_job") == 1, state
                assert desk.audit() == [], state

    def test_a_closed_purchase_cannot_be_closed_otherwise(self, desk, in_every_state):
        for state, step in (
            ("succeeded", Step.FAIL),
            ("failed", Step.SUCCEED),
            ("written_off", Step.PROVE_ABSENT),
            ("expired", Step.VOID),
        ):
            with desk.undone(), pytest.raises(StaleState, match=f"is {state}"):
                desk.close(in_every_state[state], step)


class TestHold:
    def test_it_is_under_every_cap_or_under_none(self, desk):
        envelope = desk.order(amount=100 * USD)
        with pytest.raises(BudgetExceeded):
            desk.hold(envelope, amount=7 * USD, limits=desk.limits(envelope, day=6 * USD))
        assert rows(desk.ledger, *MONEY, "outbox") == dict.fromkeys((*MONEY, "outbox"), [])  # noqa: RUF024 - compared, never changed

    def test_the_error_names_every_cap_that_refuses_and_what_it_has_left(self, desk):
        envelope = desk.order(amount=6 * USD)
        with pytest.raises(BudgetExceeded) as caught:
            desk.hold(envelope, amount=7 * USD, limits=desk.limits(envelope, job=5 * USD))
        assert caught.value.short == (("the envelope job-1/1/1", 6 * USD), ("the job's budget job-1", 5 * USD))
        assert (
            str(caught.value) == "$7.00 wanted, but the envelope job-1/1/1 has $6.00 left; the job's budget job-1 has $5.00 left"
        )

    @pytest.mark.parametrize("tight", ["envelope", "job", "day"])
    def test_whichever_cap_is_tightest_refuses(self, desk, tight):
        envelope = desk.order(amount=6 * USD if tight == "envelope" else 100 * USD)
        limits = desk.limits(envelope, **{} if tight == "envelope" else {tight: 6 * USD})
        with pytest.raises(BudgetExceeded) as caught:
            desk.hold(envelope, limits=limits)
        (named,) = caught.value.short
        assert tight in named[0]

    def test_an_exact_fit_is_taken_and_one_micro_dollar_more_is_not(self, desk):
        envelope = desk.order(amount=10 * USD)
        desk.hold(envelope, amount=3 * USD)
        with pytest.raises(BudgetExceeded):
            desk.hold(envelope, shot=2, amount=7 * USD + 1)
        desk.hold(envelope, shot=2, amount=7 * USD)
        assert desk.balance("envelope", "job-1/1/1").free == 0

    def test_a_full_cap_still_takes_what_costs_nothing(self, desk):
        envelope = desk.order(amount=7 * USD)
        desk.hold(envelope)
        assert desk.hold(envelope, shot=2, amount=0).hold == 0

    def test_the_same_content_again_is_the_same_hold(self, desk):
        envelope = desk.order()
        first = desk.hold(envelope)
        before = rows(desk.ledger, *EVERYTHING)
        assert desk.hold(envelope, now=NOW + HOUR) == first
        assert rows(desk.ledger, *EVERYTHING) == before

    def test_it_is_the_same_hold_also_when_the_cap_is_full_by_it(self, desk):
        envelope = desk.order(amount=7 * USD)
        assert desk.hold(envelope) == desk.hold(envelope)

    def test_it_is_the_same_purchase_also_after_it_ended(self, desk):
        envelope = desk.order()
        done = desk.bring(desk.hold(envelope).purchase_id, "succeeded")
        assert desk.hold(envelope) == done

    @pytest.mark.parametrize("other", [{"amount": 8 * USD}, {"prompt": "b"}, {"backend": "veo3"}], ids=str)
    def test_other_content_under_the_same_key_is_refused(self, desk, other):
        envelope = desk.order()
        desk.hold(envelope)
        before = rows(desk.ledger, *EVERYTHING)
        with pytest.raises(KeyReused, match="job-1 shot 1 exists with other content"):
            desk.hold(envelope, **other)
        assert rows(desk.ledger, *EVERYTHING) == before

    def test_another_approval_does_not_pay_for_the_same_purchase(self, desk):
        desk.hold(desk.order())
        with pytest.raises(KeyReused):
            desk.hold(desk.order(sequence=2))

    def test_many_that_hold_the_same_at_once_hold_it_once(self, desk):
        envelope = desk.order()
        held = race(8, lambda _: desk.hold(envelope))
        assert errors(held) == []
        assert len({p.purchase_id for p in held}) == 1
        assert desk.balance("job", "job-1").reserved == 7 * USD

    def test_a_negative_amount_is_refused(self, desk):
        with pytest.raises(Exception, match="hold_not_negative"):
            desk.hold(desk.order(), amount=-1)

    def test_the_legs_are_the_caps_of_the_day_it_was_held_whatever_day_it_settles(self, desk):
        envelope = desk.order()
        late = NOW + timedelta(days=2)
        key = desk.bought(envelope).purchase_id
        desk.hold(envelope, shot=2, limits=[Cap(kind="day", key="2026-11-25@UTC", cap=100 * USD)], now=late)
        desk.close(key, Step.SUCCEED, charge=9 * USD, now=late)
        desk.adjust(key, -USD, "credit", now=late)
        assert desk.balance("day", "2026-11-23@UTC").settled == 8 * USD
        assert desk.balance("day", "2026-11-25@UTC").settled == 0

    def test_the_id_of_a_purchase_is_the_same_in_every_process_and_differs_in_every_part(self):
        keys = {
            purchases.purchase_key("j", v, k, s, n)
            for v in (1, 2)
            for k in ("render", "judge")
            for s in ("1", "2")
            for n in (1, 2)
        }
        assert len(keys) == 16
        assert purchases.purchase_key("job-1", 1, "render", "1", 1) == "5017e28371be51a36cd97ceb268d91e0"


class TestHoldAll:
    """Several holds are what they would be one after the other; it only costs less."""

    def day(self, desk, envelope, usd):
        return desk.limits(envelope, day=usd * USD)

    def test_all_that_fit_are_held_and_counted_under_every_cap_of_theirs(self, desk):
        one, two = desk.order(), desk.order("job-2")
        held = desk.hold_all(desk.new_hold(one, shot=1), desk.new_hold(two, shot=1), desk.new_hold(one, shot=2))
        assert held == [desk.get(p.purchase_id) for p in held]
        assert desk.balance("day", "2026-11-23@UTC").reserved == 21 * USD
        assert [desk.balance("job", job).reserved for job in ("job-1", "job-2")] == [14 * USD, 7 * USD]
        assert desk.audit() == []

    def test_an_exact_fit_of_all_is_taken_and_one_micro_dollar_more_is_not(self, desk):
        envelope = desk.order()
        fits = [desk.new_hold(envelope, shot=n, amount=5 * USD, limits=self.day(desk, envelope, 15)) for n in (1, 2, 3)]
        more = desk.new_hold(envelope, shot=4, amount=1, limits=self.day(desk, envelope, 15))
        assert [type(found) for found in desk.hold_all(*fits, more)] == [Purchase] * 3 + [BudgetExceeded]
        assert desk.balance("day", "2026-11-23@UTC").free == 0

    def test_money_goes_in_their_order_and_nobody_overtakes_one_that_is_short_of_it(self, desk):
        envelope = desk.order()
        news = [
            desk.new_hold(envelope, shot=n, amount=usd * USD, limits=self.day(desk, envelope, 15))
            for n, usd in enumerate((7, 7, 2, 1), start=1)
        ]
        first, second, short, behind = desk.hold_all(*news)
        assert (first.state, second.state, behind) == ("held", "held", None)
        assert short.short == (("the day's budget 2026-11-23@UTC", USD),)
        assert desk.balance("day", "2026-11-23@UTC").reserved == 14 * USD

    def test_one_that_is_refused_for_itself_keeps_nobody_else_from_being_held(self, desk):
        envelope, over = desk.order(), desk.order("job-2", expires_at=NOW)
        desk.hold(envelope, shot=2)
        again = desk.new_hold(envelope, shot=2, sequence=2)
        other = desk.new_hold(envelope, shot=2, prompt="b")
        found = desk.hold_all(desk.new_hold(envelope), again, other, desk.new_hold(over), desk.new_hold(envelope, shot=3))
        assert [type(one) for one in found] == [Purchase, StaleState, KeyReused, PurchasingStopped, Purchase]
        assert desk.balance("day", "2026-11-23@UTC").reserved == 21 * USD
        assert desk.audit() == []

    def test_a_cancelled_job_keeps_no_other_from_being_held(self, desk):
        one, two = desk.order(), desk.order("job-2")
        with desk.ledger.write() as conn:
            gates.cancel_job(conn, "job-1", by="bob", now=NOW)
        found = desk.hold_all(desk.new_hold(one), desk.new_hold(two))
        assert [type(one) for one in found] == [PurchasingStopped, Purchase]

    def test_the_same_again_are_the_same_holds(self, desk):
        envelope = desk.order()
        news = [desk.new_hold(envelope, shot=n) for n in (1, 2, 3)]
        held = desk.hold_all(*news)
        before = desk.rows("purchases", "caps", "legs", "postings")
        assert desk.hold_all(*reversed(news)) == held[::-1]
        assert desk.hold_all(news[1], news[1]) == [held[1]] * 2
        assert desk.rows("purchases", "caps", "legs", "postings") == before

    def test_two_of_them_for_one_shot_are_one_hold(self, desk):
        envelope = desk.order()
        found = desk.hold_all(desk.new_hold(envelope), desk.new_hold(envelope, sequence=2), desk.new_hold(envelope, shot=2))
        assert [type(one) for one in found] == [Purchase, StaleState, Purchase]
        assert desk.balance("day", "2026-11-23@UTC").reserved == 14 * USD
        assert desk.audit() == []

    def test_a_decision_is_recorded_with_its_purchase_or_not_at_all(self, desk):
        envelope = desk.order()
        choice = Decision(shot=1, chosen="runway", model="gen4.5", quote=USD)
        desk.hold(envelope, shot=2)
        news = [desk.new_hold(envelope, shot=n, sequence=2, decision=choice.model_copy(update={"shot": n})) for n in (1, 2, 3)]
        found = desk.hold_all(*news)
        assert [type(one) for one in found] == [Purchase, StaleState, Purchase]
        with desk.ledger.read() as conn:
            told = jobs.decisions_of(conn, "job-1", 1)
        assert told == [(1, p.purchase_id, n.decision) for p, n in zip(found, news, strict=True) if isinstance(p, Purchase)]

    def test_of_several_at_a_backend_that_rested_one_has_the_probe(self, desk):
        envelope = desk.order()
        for shot in (7, 8, 9):
            desk.bought(envelope, shot=shot, amount=0)
            desk.close(purchase_key("job-1", 1, "render", str(shot), 1), Step.FAIL, why=failure())
        later = NOW + HOUR
        elsewhere = desk.new_hold(envelope, shot=3, backend="veo3")
        found = desk.hold_all(desk.new_hold(envelope), desk.new_hold(envelope, shot=2), elsewhere, now=later)
        assert [type(one) for one in found] == [Purchase, StaleState, Purchase]
        assert desk.audit() == []

    def test_a_warning_that_they_cross_together_is_told_once(self, desk):
        envelope = desk.order()
        news = [desk.new_hold(envelope, shot=n, limits=desk.limits(envelope, warn=20 * USD)) for n in (1, 2, 3, 4)]
        desk.hold_all(*news)
        assert desk.topics() == ["budget_warning"]

    def test_who_holds_many_in_any_order_waits_for_nobody_for_ever_and_never_holds_too_much(self, desk):
        envelopes = [desk.order(f"job-{n}") for n in range(4)]

        def many(n):
            mixed = envelopes if n % 2 else envelopes[::-1]
            return desk.hold_all(*(desk.new_hold(e, shot=n + 1, limits=self.day(desk, e, 100)) for e in mixed))

        found = race(8, many)
        assert errors(found) == []
        assert Counter(type(one).__name__ for some in found for one in some if one is not None) == {
            "Purchase": 14, "BudgetExceeded": sum(BudgetExceeded in map(type, some) for some in found),
        }  # fmt: skip
        assert desk.balance("day", "2026-11-23@UTC").reserved == 98 * USD
        assert desk.audit() == []


class TestOneLivePurchase:
    @pytest.mark.parametrize("state", ["held", "submitting", "submitted", "unknown"])
    def test_a_second_one_is_refused_while_the_first_may_still_become_a_take(self, desk, state):
        envelope = desk.order()
        desk.bring(desk.hold(envelope).purchase_id, state)
        before = rows(desk.ledger, *EVERYTHING)
        with pytest.raises(StaleState, match="another purchase is working on it"):
            desk.hold(envelope, sequence=2)
        assert rows(desk.ledger, *EVERYTHING) == before

    def test_a_parked_one_lets_the_shot_go_on_with_a_hold_of_its_own(self, desk):
        envelope = desk.order()
        key = desk.bring(desk.hold(envelope).purchase_id, "unknown").purchase_id
        with desk.ledger.write() as conn:
            purchases.park(conn, key, now=NOW)
        desk.hold(envelope, sequence=2, backend="veo3")
        assert desk.balance("job", "job-1").reserved == 14 * USD

    @pytest.mark.parametrize("state", [s for s in STATES if s not in OPEN])
    def test_an_ended_one_lets_the_shot_go_on(self, desk, state):
        envelope = desk.order()
        desk.bring(desk.hold(envelope).purchase_id, state)
        assert desk.hold(envelope, sequence=2).state == "held"

    def test_of_two_at_once_one_is_told_to_look_again(self, desk):
        envelope = desk.order()
        results = race(2, lambda n: desk.hold(envelope, sequence=n + 1))
        assert [type(e) for e in errors(results)] == [StaleState]

    def test_a_parked_one_that_turns_up_cannot_be_live_beside_its_successor(self, desk):
        """The render exists and will be billed: it must be recorded, whatever the shot does meanwhile."""
        envelope = desk.order()
        first = desk.bring(desk.hold(envelope).purchase_id, "unknown").purchase_id
        with desk.ledger.write() as conn:
            purchases.park(conn, first, now=NOW)
        second = desk.hold(envelope, sequence=2, backend="veo3").purchase_id
        assert desk.accept(first) is True
        assert (desk.get(first).state, desk.get(second).state) == ("submitted", "held")
        assert desk.close(first, Step.SUCCEED, charge=7 * USD)


class TestClaim:
    def test_of_many_at_once_exactly_one_may_send(self, desk):
        key = desk.hold(desk.order()).purchase_id
        results = race(8, lambda _: desk.claim(key))
        assert results.count(1) == 1
        assert [type(e) for e in errors(results)] == [StaleState] * 7

    def test_of_many_processes_at_once_exactly_one_may_send(self, desk):
        key = desk.hold(desk.order()).purchase_id
        told = race_of_processes(4, lambda _: desk.claim(key))
        assert sorted(told, key=str) == [1, "StaleState", "StaleState", "StaleState"]

    def test_a_hold_that_ran_out_cannot_be_sent(self, desk):
        held = desk.hold(desk.order())
        with pytest.raises(StaleState, match="ran out"):
            desk.claim(held.purchase_id, now=held.expires_at)
        assert desk.claim(held.purchase_id, now=held.expires_at - timedelta(microseconds=1)) == 1

    def test_the_hold_runs_out_with_the_approval_at_the_latest(self, desk, config):
        assert desk.hold(desk.order()).expires_at == NOW + timedelta(hours=config.budgets.hold_hours)
        assert desk.hold(desk.order("job-2", expires_at=NOW + HOUR)).expires_at == NOW + HOUR

    def test_a_purchase_nobody_knows_is_refused(self, desk):
        envelope = desk.order()
        with pytest.raises(StaleState, match="not in this ledger"), desk.ledger.write() as conn:
            purchases.claim(conn, "ghost", envelope=envelope, catalog=desk.catalog, now=NOW)

    def test_the_lease_outlasts_the_request(self, desk, config):
        key = desk.hold(desk.order()).purchase_id
        desk.claim(key)
        assert desk.get(key).lease_until > NOW + timedelta(seconds=config.backends["runway"].submit_timeout_seconds)


class TestSlots:
    @pytest.fixture
    def two_slots(self, desk):
        desk.with_backend("runway", slots=2, max_run_seconds=1800)
        envelope = desk.order()
        return [desk.hold(envelope, shot=shot).purchase_id for shot in (1, 2, 3)]

    def test_a_full_backend_takes_nothing_more_and_the_hold_stays(self, desk, two_slots):
        assert [desk.claim(key) for key in two_slots] == [1, 1, None]
        assert desk.get(two_slots[2]).state == "held"

    def test_who_already_has_a_slot_is_not_told_to_wait_for_one(self, desk, two_slots):
        desk.claim(two_slots[0]), desk.claim(two_slots[1])
        with pytest.raises(StaleState, match="submitting"):
            desk.claim(two_slots[0])

    def test_never_more_than_its_slots_however_many_claim_at_once(self, desk):
        desk.with_backend("runway", slots=3)
        envelope = desk.order()
        keys = [desk.hold(envelope, shot=shot).purchase_id for shot in range(1, 11)]
        results = race(10, lambda n: desk.claim(keys[n]))
        assert sorted(results, key=str) == [1] * 3 + [None] * 7

    @pytest.mark.parametrize(
        ("end", "step"), [("submitting", Step.REJECT), ("submitted", Step.SUCCEED), ("unknown", Step.WRITE_OFF)]
    )
    def test_a_purchase_that_ends_frees_its_slot(self, desk, two_slots, end, step):
        desk.claim(two_slots[0])
        desk.bring(two_slots[1], end)
        assert desk.claim(two_slots[2]) is None
        desk.step(two_slots[1], step)
        assert desk.claim(two_slots[2]) == 1

    def test_a_lost_request_occupies_its_slot_until_the_longest_run_is_over_parked_or_not(self, desk, two_slots):
        desk.claim(two_slots[0])
        desk.bring(two_slots[1], "unknown")
        with desk.ledger.write() as conn:
            purchases.park(conn, two_slots[1], now=NOW)
        over = NOW + timedelta(seconds=1800)
        assert desk.claim(two_slots[2], now=over - timedelta(microseconds=1)) is None
        assert desk.claim(two_slots[2], now=over) == 1
        assert desk.get(two_slots[1]).state == "unknown"
        assert desk.balance("job", "job-1").reserved == 21 * USD

    def test_a_running_render_keeps_its_slot_however_long_it_takes(self, desk, two_slots):
        desk.bring(two_slots[0], "submitted"), desk.bring(two_slots[1], "submitted")
        assert desk.claim(two_slots[2], now=NOW + timedelta(hours=20)) is None

    def test_slots_are_counted_per_backend(self, desk, two_slots):
        envelope = desk.order("job-2")
        other = desk.hold(envelope, backend="veo3").purchase_id
        assert [desk.claim(key) for key in (*two_slots[:2], other)] == [1, 1, 1]


class TestAccept:
    def test_it_is_idempotent_in_every_later_state(self, desk):
        key = desk.bought(desk.order()).purchase_id
        assert desk.accept(key) is True
        desk.close(key, Step.SUCCEED, charge=7 * USD)
        before = rows(desk.ledger, *EVERYTHING)
        assert desk.accept(key) is True
        assert rows(desk.ledger, *EVERYTHING) == before

    def test_a_found_render_brings_a_parked_purchase_back(self, desk):
        key = desk.bring(desk.hold(desk.order()).purchase_id, "unknown").purchase_id
        with desk.ledger.write() as conn:
            purchases.park(conn, key, now=NOW)
        assert desk.accept(key) is True
        found = desk.get(key)
        assert (found.state, found.parked_at, found.live) == ("submitted", None, True)

    def test_a_second_render_is_booked_once_and_told_once(self, desk):
        key = desk.bought(desk.order()).purchase_id
        assert [desk.accept(key, "twin"), desk.accept(key, "twin")] == [False, False]
        assert desk.balance("job", "job-1").settled == 7 * USD
        assert desk.topics().count("duplicate_vendor_job") == 1

    def test_every_further_render_is_booked(self, desk):
        key = desk.bought(desk.order()).purchase_id
        desk.accept(key, "twin"), desk.accept(key, "triplet")
        assert desk.balance("job", "job-1").settled == 14 * USD

    def test_a_second_render_booked_while_the_first_runs_is_still_booked_after_it_ended(self, desk):
        key = desk.bought(desk.order()).purchase_id
        desk.accept(key, "twin")
        desk.close(key, Step.SUCCEED, charge=7 * USD)
        assert desk.get(key).charged == desk.balance("job", "job-1").settled == 14 * USD

    def test_two_answers_at_once_are_one_render_when_they_name_the_same(self, desk):
        key = desk.bring(desk.hold(desk.order()).purchase_id, "submitting").purchase_id
        assert race(4, lambda _: desk.accept(key)) == [True] * 4
        assert desk.balance("job", "job-1").settled == 0

    def test_and_two_renders_when_they_do_not(self, desk):
        key = desk.bring(desk.hold(desk.order()).purchase_id, "submitting").purchase_id
        assert sorted(race(2, lambda n: desk.accept(key, f"render-{n}"))) == [False, True]
        assert desk.balance("job", "job-1").settled == 7 * USD

    def test_a_render_of_another_purchase_is_not_taken_for_ours(self, desk):
        envelope = desk.order()
        desk.accept(desk.bring(desk.hold(envelope).purchase_id, "submitting").purchase_id, "theirs")
        key = desk.bring(desk.hold(envelope, shot=2).purchase_id, "unknown").purchase_id
        before = rows(desk.ledger, *EVERYTHING)
        with pytest.raises(StaleState, match="theirs belongs to another purchase"):
            desk.accept(key, "theirs")
        assert rows(desk.ledger, *EVERYTHING) == before


class TestLose:
    def test_without_a_fence_only_after_the_lease(self, desk):
        key = desk.hold(desk.order()).purchase_id
        desk.claim(key)
        lease = desk.get(key).lease_until
        assert desk.lose(key, now=lease) is False
        assert desk.lose(key, now=lease + timedelta(microseconds=1)) is True

    def test_with_its_fence_at_once_and_with_another_never(self, desk):
        key = desk.hold(desk.order()).purchase_id
        fence = desk.claim(key)
        assert desk.lose(key, now=NOW, fence=fence + 1) is False
        assert desk.lose(key, now=NOW, fence=fence) is True

    def test_the_money_stays_held_and_it_is_told(self, desk):
        key = desk.bring(desk.hold(desk.order()).purchase_id, "unknown").purchase_id
        assert desk.balance("job", "job-1").reserved == 7 * USD
        assert desk.topics() == ["purchase_unknown"]
        assert desk.get(key).failure is FailureKind.TIMEOUT

    def test_parking_is_told_once_and_never_for_what_was_not_sent(self, desk):
        envelope = desk.order()
        lost, sent = desk.bring(desk.hold(envelope).purchase_id, "unknown"), desk.bought(envelope, shot=2)
        held = desk.hold(envelope, shot=3)
        with desk.ledger.write() as conn:
            for purchase in (lost, lost, sent, held):
                purchases.park(conn, purchase.purchase_id, now=NOW)
        # What the vendor was seen to take is late; only what nobody saw waits for a person at once.
        assert (desk.topics().count("purchase_parked"), desk.topics().count("purchase_late")) == (1, 1)
        assert [desk.get(p.purchase_id).live for p in (lost, sent, held)] == [False, False, True]


class TestClose:
    @pytest.mark.parametrize("charge", [0, 3 * USD, 7 * USD, 7 * USD + 1, 50 * USD])
    def test_it_gives_the_hold_back_and_books_the_bill_whatever_it_is(self, desk, charge):
        key = desk.bought(desk.order()).purchase_id
        desk.close(key, Step.SUCCEED, charge=charge)
        balance = desk.balance("job", "job-1")
        assert (balance.reserved, balance.settled, desk.get(key).charged) == (0, charge, charge)
        assert ("vendor_overbilled" in desk.topics()) is (charge > 7 * USD)

    def test_of_many_at_once_exactly_one_closes(self, desk):
        key = desk.bought(desk.order()).purchase_id
        assert sorted(race(8, lambda _: desk.close(key, Step.SUCCEED, charge=5 * USD))) == [False] * 7 + [True]
        assert desk.balance("job", "job-1").settled == 5 * USD

    def test_one_that_says_otherwise_at_once_is_refused(self, desk):
        key = desk.bought(desk.order()).purchase_id
        results = race(2, lambda n: desk.close(key, (Step.SUCCEED, Step.FAIL)[n], charge=5 * USD))
        assert [type(e) for e in errors(results)] == [StaleState]
        assert desk.balance("job", "job-1").settled == 5 * USD

    def test_again_with_another_bill_is_refused_because_that_is_a_correction(self, desk):
        key = desk.bought(desk.order()).purchase_id
        desk.close(key, Step.SUCCEED, charge=5 * USD)
        with pytest.raises(StaleState):
            desk.close(key, Step.SUCCEED, charge=6 * USD)

    def test_again_after_a_correction_is_still_a_repeat(self, desk):
        key = desk.bought(desk.order()).purchase_id
        desk.close(key, Step.SUCCEED, charge=5 * USD)
        desk.adjust(key, -USD, "credit")
        assert desk.close(key, Step.SUCCEED, charge=5 * USD) is False
        assert desk.get(key).charged == 4 * USD

    @pytest.mark.parametrize("step", [s for s in Step if s not in CHARGED and s not in (Step.CLAIM, Step.ACCEPT, Step.LOSE)])
    def test_what_never_ran_cannot_be_charged(self, desk, step):
        key = desk.hold(desk.order()).purchase_id
        with pytest.raises(ValueError, match="cannot charge"):
            desk.close(key, step, charge=1)

    def test_a_bill_below_zero_is_a_correction_and_not_a_charge(self, desk):
        key = desk.bought(desk.order()).purchase_id
        with pytest.raises(ValueError, match="cannot charge"):
            desk.close(key, Step.SUCCEED, charge=-1)

    def test_a_rejection_with_an_old_fence_is_refused(self, desk):
        key = desk.hold(desk.order()).purchase_id
        fence = desk.claim(key)
        with desk.ledger.write() as conn, pytest.raises(StaleState):
            purchases.close(conn, key, Step.REJECT, catalog=desk.catalog, now=NOW, fence=fence + 1)
        assert desk.get(key).state == "submitting"

    def test_it_is_whole_or_not_at_all(self, desk):
        key = desk.bought(desk.order()).purchase_id
        before = rows(desk.ledger, *EVERYTHING)
        with pytest.raises(ZeroDivisionError), desk.ledger.write() as conn:  # noqa: PT012 - the transaction around the error is what is tested
            purchases.close(conn, key, Step.SUCCEED, catalog=desk.catalog, now=NOW, charge=5 * USD)
            raise ZeroDivisionError
        assert rows(desk.ledger, *EVERYTHING) == before

    def test_why_it_failed_is_kept(self, desk):
        key = desk.bought(desk.order()).purchase_id
        desk.close(key, Step.FAIL, charge=7 * USD, why=failure(FailureKind.MODERATED))
        found = desk.get(key)
        assert (found.failure, found.message, found.cost_source) == (FailureKind.MODERATED, "the vendor said no", "vendor")


class TestAdjust:
    def test_each_reference_is_booked_once(self, desk):
        key = desk.bought(desk.order()).purchase_id
        desk.close(key, Step.SUCCEED, charge=7 * USD)
        assert [desk.adjust(key, -2 * USD, "credit-1") for _ in range(2)] == [True, False]
        assert desk.adjust(key, -USD, "credit-2") is True
        assert desk.get(key).charged == desk.balance("job", "job-1").settled == 4 * USD

    def test_many_at_once_with_one_reference_are_one(self, desk):
        key = desk.bought(desk.order()).purchase_id
        assert sorted(race(6, lambda _: desk.adjust(key, USD, "line-7"))) == [False] * 5 + [True]

    def test_a_late_bill_is_never_refused(self, desk):
        envelope = desk.order(amount=7 * USD)
        key = desk.bought(envelope).purchase_id
        desk.close(key, Step.SUCCEED, charge=7 * USD)
        desk.adjust(key, 100 * USD, "late")
        assert desk.balance("envelope", "job-1/1/1").overrun == 100 * USD


class TestRelease:
    def test_a_hold_expires_when_it_ran_out_and_not_before(self, desk):
        held = desk.hold(desk.order())
        assert desk.release(held.purchase_id, Step.EXPIRE, now=held.expires_at - timedelta(microseconds=1)) is False
        assert desk.release(held.purchase_id, Step.EXPIRE, now=held.expires_at) is True
        assert desk.balance("job", "job-1").reserved == 0

    @pytest.mark.parametrize("state", ["submitting", "submitted", "unknown"])
    @pytest.mark.parametrize("step", [Step.EXPIRE, Step.VOID])
    def test_what_was_sent_is_never_released(self, desk, state, step):
        key = desk.bring(desk.hold(desk.order()).purchase_id, state).purchase_id
        assert desk.release(key, step, now=NOW + timedelta(days=365)) is False
        assert desk.balance("job", "job-1").reserved == 7 * USD

    def test_a_claim_and_a_release_at_once_do_not_both_win(self, desk):
        envelope = desk.order()
        for shot in range(1, 6):
            key = desk.hold(envelope, shot=shot).purchase_id
            results = race(2, lambda n, key=key: desk.release(key, Step.VOID) if n else desk.claim(key))
            assert (results[0] == 1) is not (results[1] is True)


class TestLooking:
    def test_what_nobody_may_be_watching_is_due(self, desk):
        envelope = desk.order()
        keys = {s: desk.bring(desk.hold(envelope, shot=n).purchase_id, s).purchase_id for n, s in enumerate(STATES, start=1)}

        def due(now):
            with desk.ledger.read() as conn:
                return {p.state for p in purchases.due(conn, now=now)}

        assert due(NOW) >= {"unknown", "submitted"}
        assert not due(NOW) & {"held", "submitting"}
        assert due(NOW + timedelta(days=2)) >= {"held", "submitting", "unknown", "submitted"}
        with desk.ledger.write() as conn:
            purchases.park(conn, keys["unknown"], now=NOW)
        assert "unknown" not in due(NOW + timedelta(days=2))

    def test_purchases_of_a_job_come_by_kind_version_and_sequence(self, desk):
        envelope = desk.order()
        for sequence in (1, 2):
            desk.bring(desk.hold(envelope, sequence=sequence).purchase_id, "voided")
        desk.hold(desk.order(version=2))
        with desk.ledger.read() as conn:
            assert [(p.shot, p.sequence) for p in purchases.of_job(conn, "job-1", 1)] == [(1, 1), (1, 2)]
            assert purchases.of_job(conn, "job-1", 1, kind="judge") == []
            assert purchases.get(conn, "ghost") is None

    def test_the_request_comes_back_as_it_was_held(self, desk):
        held = desk.hold(desk.order())
        assert held.render_request.prompt == "a"
        assert held.request_sha == desk.get(held.purchase_id).request_sha


def test_a_lease_is_shorter_than_what_these_tests_wait(desk):
    """`desk.lose` steps over the lease by `LEASE`; were it longer, every test above would lie."""
    key = desk.hold(desk.order()).purchase_id
    desk.claim(key)
    assert desk.get(key).lease_until < NOW + LEASE
