"""Three strikes shut a backend, one success opens it, and one caller of many gets to try it again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aiprod.errors import BudgetExceeded, FailureKind, StaleState
from aiprod.ledger import health
from aiprod.ledger.states import Step
from aiprod.models import USD
from tests.desk import LEASE, NOW, errors, failure, race, rows


@pytest.fixture
def envelope(desk):
    return desk.order()


def healthy(desk, now=NOW, backend="runway"):
    with desk.ledger.read() as conn:
        return backend not in health.unhealthy(conn, catalog=desk.catalog, now=now)


def up(desk, backend="runway"):
    with desk.ledger.read() as conn:
        return health.up(conn, backend)


def fail(desk, envelope, shot, kind=FailureKind.VENDOR_INTERNAL, **options):
    key = desk.bought(envelope, shot=shot, **options).purchase_id
    desk.close(key, Step.FAIL, charge=7 * USD, why=failure(kind), now=options.get("now", NOW))
    return key


def strike_out(desk, envelope):
    """Three failures at NOW, in shots 91 to 93."""
    with desk.in_one_transaction():
        for shot in (91, 92, 93):
            fail(desk, envelope, shot)


def rested(desk):
    return NOW + timedelta(seconds=desk.catalog.cooldown_seconds)


class TestUp:
    def test_a_backend_nobody_tried_is_up(self, desk):
        assert up(desk)

    def test_rested_it_may_be_tried_again_but_only_a_success_makes_it_up(self, desk, envelope):
        strike_out(desk, envelope)
        assert (healthy(desk, now=rested(desk)), up(desk)) == (True, False)
        desk.close(desk.bought(envelope, shot=1, now=rested(desk)).purchase_id, Step.SUCCEED, charge=USD)
        assert up(desk)


class TestStrikes:
    def test_a_backend_nobody_tried_is_healthy(self, desk):
        assert healthy(desk)

    def test_the_third_failure_in_a_row_makes_it_unhealthy(self, desk, envelope):
        for shot, well in ((1, True), (2, True), (3, False)):
            fail(desk, envelope, shot)
            assert healthy(desk) is well

    def test_a_success_in_between_starts_the_count_again(self, desk, envelope):
        fail(desk, envelope, 1), fail(desk, envelope, 2)
        desk.close(desk.bought(envelope, shot=3).purchase_id, Step.SUCCEED, charge=USD)
        fail(desk, envelope, 4), fail(desk, envelope, 5)
        assert healthy(desk)
        fail(desk, envelope, 6)
        assert not healthy(desk)

    def test_each_backend_has_its_own(self, desk, envelope):
        strike_out(desk, envelope)
        assert healthy(desk, backend="veo3")

    @pytest.mark.parametrize("kind", list(FailureKind))
    def test_only_the_vendors_own_trouble_is_a_strike(self, desk, envelope, kind):
        fail(desk, envelope, 1, kind)
        struck = any(row["strikes"] for row in rows(desk.ledger, "backend_health")["backend_health"])
        assert struck is (kind not in (FailureKind.MODERATED, FailureKind.INVALID_INPUT, FailureKind.RATE_LIMITED))

    def test_what_was_never_sent_by_our_own_fault_is_no_strike(self, desk, envelope):
        key = desk.bring(desk.hold(envelope).purchase_id, "submitting").purchase_id
        ours = failure(FailureKind.TIMEOUT).model_copy(update={"strike": False})
        desk.close(key, Step.REJECT, why=ours)
        assert rows(desk.ledger, "health_observations") == {"health_observations": []}

    @pytest.mark.parametrize("step", [Step.CANCEL, Step.VOID, Step.EXPIRE])
    def test_what_we_ended_ourselves_is_no_strike(self, desk, envelope, step):
        key = desk.hold(envelope).purchase_id
        if step is Step.CANCEL:
            desk.bring(key, "submitted")
        desk.close(key, step)
        assert rows(desk.ledger, "health_observations") == {"health_observations": []}

    def test_one_purchase_is_one_strike_however_often_it_fails(self, desk, envelope):
        """Lost, found, failed, told again: an Airflow retry must not shut a backend on its own."""
        key = desk.bring(desk.hold(envelope).purchase_id, "unknown").purchase_id
        desk.accept(key)
        for _ in range(3):
            desk.close(key, Step.FAIL, charge=7 * USD, why=failure())
        (row,) = rows(desk.ledger, "backend_health")["backend_health"]
        assert row["strikes"] == 1

    def test_a_lost_answer_is_a_strike_and_its_late_success_resets(self, desk, envelope):
        keys = [desk.bring(desk.hold(envelope, shot=n).purchase_id, "unknown").purchase_id for n in (1, 2, 3)]
        assert not healthy(desk, now=NOW + LEASE)
        desk.accept(keys[0])
        desk.close(keys[0], Step.SUCCEED, charge=USD)
        assert healthy(desk, now=NOW + LEASE)

    def test_failures_at_once_are_all_counted(self, desk, envelope):
        keys = [desk.bought(envelope, shot=n).purchase_id for n in (1, 2, 3)]
        race(3, lambda n: desk.close(keys[n], Step.FAIL, charge=USD, why=failure()))
        assert not healthy(desk)


class TestProbe:
    def test_while_it_rests_nobody_may_hold(self, desk, envelope):
        strike_out(desk, envelope)
        with pytest.raises(StaleState, match="runway is unhealthy"):
            desk.hold(envelope, now=rested(desk) - timedelta(microseconds=1))

    def test_of_many_exactly_one_gets_to_try(self, desk, envelope):
        strike_out(desk, envelope)
        results = race(8, lambda n: desk.hold(envelope, shot=n + 1, now=rested(desk)))
        assert [type(e) for e in errors(results)] == [StaleState] * 7

    def test_the_same_caller_again_has_the_same_probe(self, desk, envelope):
        strike_out(desk, envelope)
        assert desk.hold(envelope, now=rested(desk)) == desk.hold(envelope, now=rested(desk))

    def test_looking_does_not_take_the_probe(self, desk, envelope):
        strike_out(desk, envelope)
        assert healthy(desk, now=rested(desk)) and healthy(desk, now=rested(desk))
        desk.hold(envelope, now=rested(desk))
        assert not healthy(desk, now=rested(desk))

    def test_who_cannot_pay_leaves_the_probe_to_who_can(self, desk, envelope):
        strike_out(desk, envelope)
        with desk.in_one_transaction():
            with pytest.raises(BudgetExceeded):
                desk.hold(envelope, amount=5_000 * USD, now=rested(desk))
            assert desk.hold(envelope, shot=2, now=rested(desk)).state == "held"

    def test_a_probe_that_succeeds_opens_the_backend(self, desk, envelope):
        strike_out(desk, envelope)
        key = desk.hold(envelope, now=rested(desk)).purchase_id
        desk.claim(key, now=rested(desk)), desk.accept(key)
        desk.close(key, Step.SUCCEED, charge=USD, now=rested(desk))
        assert healthy(desk, now=rested(desk))

    def test_a_probe_that_fails_starts_the_rest_again(self, desk, envelope):
        strike_out(desk, envelope)
        then = rested(desk)
        key = desk.hold(envelope, now=then).purchase_id
        desk.claim(key, now=then), desk.accept(key)
        desk.close(key, Step.FAIL, charge=USD, why=failure(), now=then)
        again = then + timedelta(seconds=desk.catalog.cooldown_seconds)
        assert not healthy(desk, now=again - timedelta(microseconds=1))
        assert healthy(desk, now=again)

    def test_a_probe_nobody_brought_back_lets_another_try(self, desk, envelope):
        strike_out(desk, envelope)
        desk.hold(envelope, now=rested(desk))
        lost = rested(desk) + timedelta(seconds=desk.catalog.probe_seconds)
        with pytest.raises(StaleState):
            desk.hold(envelope, shot=2, now=lost)
        assert desk.hold(envelope, shot=2, now=lost + timedelta(microseconds=1)).state == "held"


def test_every_change_is_a_metric_point(desk, envelope):
    fail(desk, envelope, 1)
    points = [row for row in rows(desk.ledger, "metric_outbox")["metric_outbox"] if row["name"] == "backend_up"]
    assert [(p["labels"], p["value"]) for p in points] == [('{"backend": "runway"}', 1.0)]
