"""A vendor's bill against the books: every difference has a name, and booking it twice books it once."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from aiprod.billing import BillLine
from aiprod.errors import MoneyError, SpecError
from aiprod.ledger import bills
from aiprod.ledger.states import Step
from aiprod.models import USD
from tests.desk import NOW, rows

DAY = timedelta(days=1)


def line(vendor_id, dollars, *, number=2, at: datetime | None = NOW):
    return BillLine(line=number, vendor_id=vendor_id, amount=int(dollars * USD), billed_at=at)


def bill(*lines):
    """Lines with their places in the file."""
    return [one.model_copy(update={"line": n}) for n, one in enumerate(lines, start=2)]


def imported(desk, lines, *, book=False, backend="runway"):
    with desk.ledger.write() as conn:
        sha, _ = bills.enter(conn, backend, lines, source="bill.csv", by="ann", now=NOW)
        found = bills.explain(conn, sha, now=NOW)
        booked = bills.book(conn, found, now=NOW) if book else []
    return found, booked


def kinds(found):
    return {item.vendor_id: (item.kind, item.difference / USD) for item in found.items}


def paid(desk, vendor_id, *, shot=1, dollars=7, now=NOW, step=Step.SUCCEED):
    """A purchase that the vendor knows by a name and was charged."""
    key = desk.hold(desk.envelopes.get(("job-1", 1)) or desk.order(), shot=shot, now=now).purchase_id
    desk.claim(key, now=now), desk.accept(key, vendor_id, now=now)
    desk.close(key, step, charge=int(dollars * USD), now=now)
    return key


class TestExplaining:
    def test_every_render_is_one_of_five_and_the_differences_tie(self, desk):
        paid(desk, "same"), paid(desk, "dearer", shot=2), paid(desk, "forgotten", shot=3)
        desk.bring(desk.hold(desk.envelopes["job-1", 1], shot=4).purchase_id, "submitted")
        running = desk.rows("purchases")["purchases"]
        running = next(p["vendor_id"] for p in running if p["state"] == "submitted")
        found, _ = imported(desk, bill(line("same", 7), line("dearer", 7.5), line("ghost", 3), line(running, 7)))
        assert kinds(found) == {
            "same": ("matched", 0), "dearer": ("other_amount", 0.5), "ghost": ("unknown_to_us", 3),
            running: ("still_open", 7), "forgotten": ("not_billed", -7),
        }  # fmt: skip
        assert found.billed == int(24.5 * USD)
        assert found.billed - found.ours == sum(item.difference for item in found.items)

    def test_one_micro_dollar_is_a_difference(self, desk):
        paid(desk, "r-1")
        found, _ = imported(desk, [line("r-1", 7.000001)])
        assert found.items[0].kind == "other_amount" and found.items[0].difference == 1

    def test_lines_of_one_render_count_together(self, desk):
        paid(desk, "r-1")
        found, _ = imported(desk, bill(line("r-1", 8), line("r-1", -1)))
        assert (found.items[0].kind, found.items[0].lines) == ("matched", (2, 3))

    def test_a_failed_render_that_the_vendor_billed_is_another_amount(self, desk):
        paid(desk, "r-1", dollars=0, step=Step.FAIL)
        assert kinds(imported(desk, [line("r-1", 7)])[0]) == {"r-1": ("other_amount", 7)}

    def test_another_backends_render_is_not_ours_here(self, desk):
        paid(desk, "r-1")
        assert kinds(imported(desk, [line("r-1", 7)], backend="veo3")[0]) == {"r-1": ("unknown_to_us", 7)}

    def test_what_was_rendered_before_or_after_the_bills_days_is_not_missing_from_it(self, desk):
        for shot, (name, at) in enumerate({"before": NOW - DAY, "in": NOW, "after": NOW + DAY}.items(), start=1):
            paid(desk, name, shot=shot, now=at)
        assert set(kinds(imported(desk, [line("in", 7)])[0])) == {"in"}

    def test_without_dates_nothing_can_be_missing(self, desk):
        paid(desk, "r-1"), paid(desk, "r-2", shot=2)
        found, _ = imported(desk, [line("r-1", 7, at=None)])
        assert (found.dated, set(kinds(found))) == (False, {"r-1"})

    def test_a_second_render_was_booked_at_its_hold_and_is_compared_by_itself(self, desk):
        key = paid(desk, "r-1")
        desk.accept(key, "r-1-again")
        found, _ = imported(desk, bill(line("r-1", 7), line("r-1-again", 6)))
        assert kinds(found) == {"r-1": ("matched", 0), "r-1-again": ("other_amount", -1)}
        imported(desk, bill(line("r-1", 7), line("r-1-again", 6)), book=True)
        assert kinds(imported(desk, bill(line("r-1", 7), line("r-1-again", 6)))[0])["r-1-again"] == ("matched", 0)
        assert desk.get(key).charged == 13 * USD


class TestAlarm:
    def test_a_charge_no_purchase_has_is_told_once(self, desk):
        for _ in range(2):
            imported(desk, [line("ghost", 3)])
        told = [json.loads(e["payload"]) for e in desk.rows("outbox")["outbox"] if e["topic"] == "bill_unknown_charge"]
        assert [(t["vendor_id"], t["billed_micros"]) for t in told] == [("ghost", 3 * USD)]

    @pytest.mark.parametrize("state", ["unknown", "absent", "rejected", "written_off"])
    def test_it_names_the_purchases_whose_answer_was_lost_about_then(self, desk, state):
        lost = desk.bring(desk.hold(desk.order()).purchase_id, state)
        (item,) = imported(desk, [line("ghost", 7)])[0].items
        assert lost.purchase_id in item.maybe[0] and "hold $7.00" in item.maybe[0]

    def test_the_nearest_amount_comes_first_and_other_days_not_at_all(self, desk):
        envelope = desk.order()
        keys = [desk.bring(desk.hold(envelope, shot=n, amount=n * USD).purchase_id, "unknown").purchase_id for n in (1, 2, 3)]
        (item,) = imported(desk, [line("ghost", 3)])[0].items
        assert [m.split()[0] for m in item.maybe] == keys[::-1]
        assert imported(desk, [line("ghost", 3, at=NOW + 5 * DAY)])[0].items[0].maybe == ()
        assert len(imported(desk, [line("ghost", 3, at=None)])[0].items[0].maybe) == 3

    def test_a_purchase_with_a_name_of_its_own_is_no_guess(self, desk):
        paid(desk, "r-1")
        assert imported(desk, [line("ghost", 7)])[0].items[0].maybe == ()


class TestBooking:
    def test_without_booking_the_books_do_not_change(self, desk):
        paid(desk, "r-1")
        before = rows(desk.ledger, "postings", "caps", "purchases")
        imported(desk, [line("r-1", 9)])
        assert rows(desk.ledger, "postings", "caps", "purchases") == before

    @pytest.mark.parametrize("dollars", [9, 6.5, 0])
    def test_booked_once_the_bill_matches_and_again_changes_nothing(self, desk, dollars):
        key = paid(desk, "r-1")
        assert len(imported(desk, [line("r-1", dollars)], book=True)[1]) == 1
        assert desk.get(key).charged == dollars * USD
        found, booked = imported(desk, [line("r-1", dollars)], book=True)
        assert (kinds(found), booked) == ({"r-1": ("matched", 0)}, [])

    def test_it_books_on_the_day_of_the_hold(self, desk):
        paid(desk, "r-1")
        with desk.ledger.write() as conn:
            sha, _ = bills.enter(conn, "runway", [line("r-1", 9)], source="b", by="ann", now=NOW + 30 * DAY)
            bills.book(conn, bills.explain(conn, sha, now=NOW + 30 * DAY), now=NOW + 30 * DAY)
        assert desk.balance("day", "2026-11-23@UTC").settled == 9 * USD

    def test_only_other_amounts_are_booked(self, desk):
        paid(desk, "forgotten")
        desk.bought(desk.envelopes["job-1", 1], shot=2)
        open_id = next(p["vendor_id"] for p in desk.rows("purchases")["purchases"] if p["state"] == "submitted")
        assert imported(desk, bill(line("ghost", 3), line(open_id, 7)), book=True)[1] == []

    def test_a_credit_is_booked_beside_the_charge_and_both_bills_still_match(self, desk):
        key = paid(desk, "r-1")
        first, credit = [line("r-1", 7)], [line("r-1", -2)]
        assert len(imported(desk, credit, book=True)[1]) == 1
        assert desk.get(key).charged == 5 * USD
        for again in (first, credit):
            found, booked = imported(desk, again, book=True)
            assert (kinds(found)["r-1"], booked) == (("matched", 0), [])
        assert desk.get(key).charged == 5 * USD

    def test_a_refund_of_more_than_was_charged_is_refused_and_nothing_is_booked(self, desk):
        good, bad = paid(desk, "good"), paid(desk, "bad", shot=2)
        with pytest.raises(SpecError, match=r"line 3: a refund of \$7\.50 is more than the \$7\.00 charged for job-1 shot 2"):
            imported(desk, bill(line("good", 8), line("bad", -7.5)), book=True)
        assert [desk.get(key).charged for key in (good, bad)] == [7 * USD] * 2


class TestKeeping:
    def test_the_same_content_is_one_bill_in_any_order(self, desk):
        lines = [line("a", 1), line("b", 2)]
        with desk.ledger.write() as conn:
            kept = [
                bills.enter(conn, "runway", bill(*order), source=f"{n}.csv", by="ann", now=NOW)
                for n, order in enumerate([lines, lines[::-1]])
            ]
        assert kept[0][0] == kept[1][0] and [new for _, new in kept] == [True, False]
        assert len(desk.rows("bill_lines")["bill_lines"]) == 2

    def test_another_backend_amount_or_day_is_another_bill(self, desk):
        with desk.ledger.write() as conn:
            shas = {
                bills.enter(conn, backend, [line("a", dollars, at=at)], source="b", by="ann", now=NOW)[0]
                for backend, dollars, at in [("runway", 1, NOW), ("veo3", 1, NOW), ("runway", 2, NOW), ("runway", 1, None)]
            }
        assert len(shas) == 4


class TestAdjustBelowNothing:
    def test_the_ledger_itself_refuses_a_refund_of_more_than_was_charged(self, desk):
        key = paid(desk, "r-1")
        with pytest.raises(MoneyError, match="more than was charged"):
            desk.adjust(key, -7 * USD - 1, "too-much")
        assert desk.adjust(key, -7 * USD, "all") is True
        assert desk.adjust(key, -7 * USD, "all") is False
