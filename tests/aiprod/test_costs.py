"""Estimate against charge, per model; the total is what the ledger settled, to the micro-dollar."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.costs import costs_of, total
from aiprod.ledger.charges import Charge, charges, settled_between
from aiprod.ledger.states import Step
from aiprod.models import USD
from tests.desk import HOUR, NOW


def charge(amount, *, state="succeeded", hold=7, ended=True, source="vendor", backend="runway", model="gen4.5", n=1):
    return Charge(
        purchase_id=f"p-{n}", backend=backend, model=model, state=state, cost_source=source, hold=hold, ended=ended, amount=amount
    )


def only(*rows):
    (found,) = costs_of(rows)
    return found


class TestOneModel:
    def test_quoted_and_charged_are_compared_in_per_cent(self):
        found = only(charge(100, hold=100), charge(110, hold=100))
        assert (found.purchases, found.quoted, found.charged, found.difference) == (2, 200, 210, 5.0)

    def test_without_a_quote_there_is_no_per_cent(self):
        assert only(charge(0, hold=0)).difference is None

    def test_what_failed_and_was_charged_is_waste(self):
        found = only(charge(7), charge(5, state="failed"), charge(3, state="cancelled"), charge(2, state="written_off"))
        assert (found.waste, found.charged) == (10, 17)

    def test_what_was_never_sent_is_no_purchase(self):
        found = only(charge(7), *(charge(0, state=s) for s in ("voided", "expired", "rejected", "absent")))
        assert (found.purchases, found.quoted) == (1, 7)

    def test_the_excess_over_a_hold_is_not_hidden_by_a_cheaper_one(self):
        assert only(charge(9), charge(1)).overbilled == 2

    def test_late_bills_and_refunds_stand_apart(self):
        found = only(charge(7), charge(3, ended=False), charge(-1, ended=False))
        assert (found.charged, found.late_bills, found.refunds, found.total) == (7, 3, -1, 9)

    def test_who_told_the_charge_is_counted(self):
        assert only(charge(7), charge(7), charge(7, source="quote"), charge(0, source=None)).sources == {
            "none": 1, "quote": 1, "vendor": 2,
        }  # fmt: skip


class TestAll:
    def test_models_are_apart_and_the_dearest_is_first(self):
        found = costs_of([charge(1), charge(5, model="veo3.1"), charge(3, backend="veo3")])
        assert [(c.backend, c.model) for c in found] == [("runway", "veo3.1"), ("veo3", "gen4.5"), ("runway", "gen4.5")]

    @settings(max_examples=100)
    @given(
        st.lists(
            st.builds(
                charge,
                st.integers(-100, 10**9),
                state=st.sampled_from(["succeeded", "failed", "cancelled", "written_off"]),
                ended=st.booleans(),
                backend=st.sampled_from(["runway", "veo3"]),
            )
        )
    )
    def test_nothing_is_lost_between_the_charges_and_the_total(self, rows):
        assert total(costs_of(rows)) == sum(row.amount for row in rows)

    def test_the_total_is_what_the_ledger_settled(self, desk):
        envelope = desk.order()
        ends = [(Step.SUCCEED, 7), (Step.FAIL, 3), (Step.CANCEL, 1), (Step.SUCCEED, 8)]
        for shot, (step, dollars) in enumerate(ends, start=1):
            desk.close(desk.bought(envelope, shot=shot).purchase_id, step, charge=dollars * USD)
        odd = desk.hold(envelope, shot=9, backend="veo3").purchase_id
        desk.bring(odd, "written_off")
        desk.adjust(odd, -333_333, "credit")
        with desk.ledger.read() as conn:
            since, until = NOW - HOUR, NOW + HOUR
            found = costs_of(charges(conn, since, until))
            assert total(found) == settled_between(conn, since, until) == 24 * USD - 333_333
            assert sum(cap["settled"] for cap in desk.rows("caps")["caps"] if cap["kind"] == "day") == total(found)
