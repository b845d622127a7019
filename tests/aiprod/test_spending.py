"""The days of a month tie to the ledger, and a month that is over is not added up for every look."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from sqlalchemy import event

from aiprod.ledger import Ledger, charges
from aiprod.ledger.spending import Spent
from aiprod.ledger.states import Step
from aiprod.models import USD
from aiprod.spending import days, summed, window
from tests.desk import NOW, Desk


class Clock:
    """The database's clock, turned by hand."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


def at(desk: Desk, when: datetime) -> tuple[Ledger, Clock]:
    clock = Clock(when)
    return Ledger(desk.ledger.url, clock=clock), clock


def buy(desk: Desk, job_id: str, amount: int, when: datetime) -> None:
    desk.close(desk.bought(desk.order(job_id)).purchase_id, Step.SUCCEED, charge=amount, now=when)


def asked(ledger: Ledger, desk: Desk) -> int:
    """How many sums of postings one look takes."""
    statements: list[str] = []

    def note(*args: object) -> None:
        statements.append(str(args[2]))

    event.listen(ledger.engine, "before_cursor_execute", note)
    days(ledger, desk.catalog)
    event.remove(ledger.engine, "before_cursor_execute", note)
    return len([one for one in statements if "postings" in one and "d_settled" in one and "qa_reports" in one])


def test_every_day_is_there_and_they_add_up_to_what_was_settled(desk: Desk) -> None:
    for n, (amount, back) in enumerate([(5 * USD, 0), (3 * USD + 1, 1), (2 * USD, 29), (7 * USD, 31)]):
        buy(desk, f"job-{n}", amount, NOW - timedelta(days=back))
    ledger, _ = at(desk, NOW)
    found = days(ledger, desk.catalog)
    assert len(found) == 30
    assert all(a.ends_at == z.starts_at for a, z in pairwise(found))
    start, end = window(ledger, desk.catalog)
    assert (found[0].starts_at, found[-1].ends_at) == (start, end)
    with ledger.read() as conn:
        assert sum(day.total for day in found) == charges.settled_between(conn, start, end) == 10 * USD + 1


def test_a_day_on_which_clocks_change_is_one_day(desk: Desk) -> None:
    desk.catalog = desk.catalog.model_copy(
        update={"budgets": desk.catalog.budgets.model_copy(update={"zone": "Europe/Berlin"})}
    )  # fmt: skip
    ledger, _ = at(desk, datetime(2026, 11, 1, 12, tzinfo=UTC))
    lengths = {day.day.isoformat(): (day.ends_at - day.starts_at) / timedelta(hours=1) for day in days(ledger, desk.catalog)}
    assert desk.catalog.zone == ZoneInfo("Europe/Berlin")
    assert lengths["2026-10-25"] == 25 and set(lengths.values()) == {24, 25}


def test_days_that_are_over_are_added_up_once_an_hour_and_today_every_time(desk: Desk) -> None:
    ledger, clock = at(desk, NOW)
    assert asked(ledger, desk) == 30
    clock.at += timedelta(minutes=10)
    assert asked(ledger, desk) == 1
    buy(desk, "job-1", 5 * USD, clock.at)
    assert days(ledger, desk.catalog)[-1].total == 5 * USD
    clock.at += timedelta(hours=1)
    assert asked(ledger, desk) == 30


def test_yesterday_is_not_taken_for_settled_while_a_transaction_of_it_may_still_be_written(desk: Desk) -> None:
    midnight = days(at(desk, NOW)[0], desk.catalog)[-1].starts_at
    ledger, _ = at(desk, midnight + timedelta(minutes=30))
    days(ledger, desk.catalog)
    buy(desk, "job-1", 5 * USD, midnight - timedelta(seconds=1))
    assert days(ledger, desk.catalog)[-2].total == 5 * USD


def test_rows_add_up_under_what_they_are_named_and_the_dearest_is_first() -> None:
    rows = [
        Spent(project=p, backend=b, model="m", charged=c, failed=1) for p, b, c in [("x", "a", 1), ("y", "a", 5), ("y", "b", 2)]
    ]
    found = summed(rows, by=lambda one: ("", one.backend, ""))
    assert [(one.backend, one.charged, one.failed) for one in found] == [("a", 6, 2), ("b", 2, 1)]
