"""Caps: opened once, moved exactly, closed when overbilled, opened again by exactly the refund, warned of once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiprod.budgets import Cap
from aiprod.errors import BudgetExceeded
from aiprod.ledger import Ledger, caps
from aiprod.ledger.states import Step
from aiprod.models import USD
from tests.desk import NOW, Desk, errors, race, rows


def day(cap, **options):
    return Cap(kind="day", key="2026-11-23@UTC", cap=cap, **options)


class TestOpening:
    def test_a_cap_is_one_row_however_often_and_by_however_many_it_is_opened(self, ledger):
        def work(_):
            with ledger.write() as conn:
                return caps.opened(conn, [day(100)], now=NOW)

        opened = race(6, work)
        assert len({tuple(ids) for ids in opened}) == 1
        assert len(rows(ledger, "caps")["caps"]) == 1

    def test_a_new_day_is_a_new_row_and_resets_nothing(self, desk):
        envelope = desk.order()
        desk.hold(envelope, limits=[day(10 * USD)])
        tomorrow = Cap(kind="day", key="2026-11-24@UTC", cap=10 * USD)
        desk.hold(envelope, shot=2, limits=[tomorrow], now=NOW + timedelta(days=1))
        assert desk.balance("day", "2026-11-23@UTC").free == desk.balance("day", "2026-11-24@UTC").free == 3 * USD

    def test_a_cap_nobody_used_is_all_free_and_the_tightest_is_named(self, desk):
        envelope = desk.order()
        desk.hold(envelope, limits=[day(10 * USD)])
        with desk.ledger.read() as conn:
            wanted = [Cap(kind="job", key="job-1", cap=4 * USD), day(10 * USD)]
            assert caps.headroom(conn, wanted) == (3 * USD, "the day's budget 2026-11-23@UTC")
            assert caps.headroom(conn, wanted[:1]) == (4 * USD, "the job's budget job-1")
            assert caps.headroom(conn, []) == (0, "budget")
        assert len(rows(desk.ledger, "caps")["caps"]) == 1


class TestOverrun:
    @pytest.fixture
    def overbilled(self, desk):
        """$100 held of a $100 cap, $120 billed."""
        envelope = desk.order()
        key = desk.bought(envelope, amount=100 * USD, limits=[day(100 * USD)]).purchase_id
        desk.close(key, Step.SUCCEED, charge=120 * USD)
        return envelope, key

    def free(self, desk):
        found = desk.balance("day", "2026-11-23@UTC")
        return found.free, found.overrun

    def test_the_bill_is_booked_as_it_is_and_the_excess_is_visible(self, desk, overbilled):
        assert self.free(desk) == (-20 * USD, 20 * USD)
        assert "vendor_overbilled" in desk.topics()

    def test_the_cap_is_closed_even_for_one_micro_dollar(self, desk, overbilled):
        with pytest.raises(BudgetExceeded):
            desk.hold(overbilled[0], shot=2, amount=1, limits=[day(100 * USD)])

    def test_a_refund_that_leaves_it_over_the_cap_opens_nothing(self, desk, overbilled):
        envelope, key = overbilled
        desk.adjust(key, -15 * USD, "credit-1")
        assert self.free(desk) == (-5 * USD, 5 * USD)
        with pytest.raises(BudgetExceeded):
            desk.hold(envelope, shot=2, amount=1, limits=[day(100 * USD)])

    def test_a_refund_below_the_cap_opens_exactly_the_difference(self, desk, overbilled):
        envelope, key = overbilled
        desk.adjust(key, -30 * USD, "credit-1")
        assert self.free(desk) == (10 * USD, 0)
        with pytest.raises(BudgetExceeded):
            desk.hold(envelope, shot=2, amount=10 * USD + 1, limits=[day(100 * USD)])
        desk.hold(envelope, shot=2, amount=10 * USD, limits=[day(100 * USD)])
        assert self.free(desk) == (0, 0)


class TestWarning:
    def test_it_comes_once_and_only_when_the_line_is_reached(self, desk):
        envelope = desk.order()
        for shot, warned in ((1, 0), (2, 1), (3, 1)):
            desk.hold(envelope, shot=shot, amount=45 * USD if shot < 3 else USD, limits=[day(100 * USD, warn=90 * USD)])
            assert desk.topics().count("budget_warning") == warned

    def test_it_comes_once_however_many_cross_the_line_together(self, desk):
        envelope = desk.order()
        desk.with_backend("runway", slots=100)
        limits = [day(100 * USD, warn=50 * USD)]
        race(8, lambda n: desk.hold(envelope, shot=n + 1, amount=12 * USD, limits=limits))
        assert desk.topics().count("budget_warning") == 1

    def test_it_tells_how_much_is_used_of_how_much(self, desk):
        desk.hold(desk.order(), amount=95 * USD, limits=[day(100 * USD, warn=90 * USD)])
        (event,) = rows(desk.ledger, "outbox")["outbox"]
        assert f'"used_micros": {95 * USD}' in event["payload"]
        assert f'"cap_micros": {100 * USD}' in event["payload"]


class TestConcurrency:
    def test_sixteen_callers_for_a_hundred_dollars_get_exactly_fourteen_sevens(self, desk):
        envelope = desk.order()
        results = race(16, lambda n: desk.hold(envelope, shot=n + 1, amount=7 * USD, limits=[day(100 * USD)]))
        assert [type(e) for e in errors(results)] == [BudgetExceeded] * 2
        assert desk.balance("day", "2026-11-23@UTC").free == 2 * USD

    def test_callers_with_caps_in_any_order_never_wait_for_each_other(self, desk):
        """Two caps, locked the other way round by every second caller: a deadlock would abort one."""
        envelope = desk.order()
        both = [Cap(kind="job", key="job-1", cap=100 * USD), day(100 * USD)]
        results = race(8, lambda n: desk.hold(envelope, shot=n + 1, amount=USD, limits=both if n % 2 else both[::-1]))
        assert errors(results) == []

    def test_a_correction_and_a_close_at_once_both_arrive(self, desk):
        envelope = desk.order()
        keys = [desk.bought(envelope, shot=n).purchase_id for n in (1, 2, 3)]

        def work(n):
            key = keys[n // 2]
            return desk.close(key, Step.SUCCEED, charge=7 * USD) if n % 2 else desk.adjust(key, USD, "late-bill")

        assert race(6, work) == [True] * 6
        assert desk.balance("job", "job-1").settled == 3 * 8 * USD


#: Biased to the edges: amounts near what is left, bills at, above and below the hold, refunds right after.
MOVE = st.tuples(
    st.sampled_from(["hold", "hold", "close", "close", "fail", "adjust", "twin"]),
    st.sampled_from(["some", "all that is left", "one more than is left", "nothing"]),
    st.sampled_from([0.0, 0.5, 1.0, 1.2, -0.5]),
    st.integers(0, 30),
)


class TestAgainstAModel:
    """The same moves in a model of four lines of arithmetic: what it takes and refuses, the ledger takes and refuses."""

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
    @given(moves=st.lists(MOVE, min_size=4, max_size=14))
    def test_every_move_is_answered_as_the_model_answers_and_the_books_agree(self, sqlite_url, config, moves):
        desk = Desk(Ledger(sqlite_url), config)
        desk.with_backend("runway", slots=1_000)
        with desk.undone():
            envelope = desk.order(amount=1_000)
            limits = [Cap(kind="job", key="job-1", cap=60), day(100)]
            used = {"job": 0, "day": 0}
            open_: dict[str, int] = {}
            ended: list[str] = []
            for n, (what, size, factor, some) in enumerate(moves, start=1):
                left = min(60 - used["job"], 100 - used["day"])
                if what == "hold":
                    amount = {"some": some, "all that is left": left, "one more than is left": left + 1, "nothing": 0}[size]
                    if amount < 0:
                        continue
                    try:
                        key = desk.hold(envelope, shot=n, amount=amount, limits=limits).purchase_id
                        desk.claim(key), desk.accept(key)
                        assert amount <= left
                        open_[key] = amount
                        used = {cap: sum_ + amount for cap, sum_ in used.items()}
                    except BudgetExceeded:
                        assert amount > left
                elif what in ("close", "fail", "twin") and open_:
                    key, amount = next(iter(open_.items()))
                    if what == "twin":
                        desk.accept(key, f"twin-{n}")
                        used = {cap: sum_ + amount for cap, sum_ in used.items()}
                        continue
                    charge = max(0, int(amount * factor))
                    desk.close(key, Step.SUCCEED if what == "close" else Step.FAIL, charge=charge)
                    used = {cap: sum_ - amount + charge for cap, sum_ in used.items()}
                    ended.append(key)
                    del open_[key]
                elif what == "adjust" and ended:
                    # A refund of more than was charged is refused (test_purchases.py).
                    delta = max(int(some * (factor or 1)), -(desk.get(ended[-1]).charged or 0))
                    desk.adjust(ended[-1], delta, f"line-{n}")
                    used = {cap: sum_ + delta for cap, sum_ in used.items()}
                assert desk.audit() == []
            for cap in limits if rows_of(desk) else ():
                assert desk.balance(cap.kind, cap.key).free == cap.cap - used[cap.kind]


def rows_of(desk):
    return desk.rows("caps")["caps"]
