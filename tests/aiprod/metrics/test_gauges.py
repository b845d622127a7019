"""Gauges show the ledger as it stands, cost nothing while nothing changes, and series begin at zero."""

from __future__ import annotations

import pytest

from aiprod.budgets import Scope
from aiprod.catalog import Catalog
from aiprod.errors import BackendError, FailureKind
from aiprod.ledger import Ledger, cursors, limits, points
from aiprod.metrics import gauges
from aiprod.metrics.gauges import ask_for_credits, refresh
from aiprod.models import USD, Checkup
from tests.aiprod.metrics.conftest import Clock


def test_what_did_not_change_is_not_written_again(timed: Ledger, config: Catalog) -> None:
    assert refresh(timed, config, ["otlp"]) > 5
    with timed.write() as conn:
        points.fold(conn)
    assert refresh(timed, config, ["otlp"]) == 0


def test_a_counter_is_there_at_zero_before_the_first_count(timed: Ledger, config: Catalog) -> None:
    refresh(timed, config, [])
    with timed.read() as conn:
        seen = {(s.name, *s.labels.values()): s for s in points.series(conn)}
    assert (seen["jobs", "failed"].count, seen["jobs", "failed"].total) == (0, 0)
    assert sum(seen["quality_score", "technical"].buckets or ()) == 0
    with timed.write() as conn:
        points.emit(conn, "jobs", 1, now=seen["jobs", "failed"].started_at, status="failed")
        points.fold(conn)
        assert next(s.total for s in points.series(conn) if (s.name, s.labels) == ("jobs", {"status": "failed"})) == 1


class Vendor:
    tells_credits = True

    def __init__(self, answer: Checkup | BackendError) -> None:
        self.answer, self.asked = answer, 0

    def checkup(self) -> Checkup:
        self.asked += 1
        if isinstance(self.answer, BackendError):
            raise self.answer
        return self.answer


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Vendor:
    one, silent = Vendor(Checkup(credits=7.5)), Vendor(Checkup())
    silent.tells_credits = False
    monkeypatch.setattr(gauges, "why_not_configured", lambda catalog, name: "")
    monkeypatch.setattr(gauges, "backend", lambda catalog, name: one if name == "runway" else silent)
    return one


def test_who_tells_what_is_left_is_asked_every_ten_minutes(timed: Ledger, config: Catalog, clock: Clock, vendor: Vendor) -> None:
    for minutes, asked in ((0, 1), (5, 1), (6, 2)):
        clock.after(minutes=minutes)
        ask_for_credits(timed, config)
        with timed.write() as conn:
            points.fold(conn)
        assert vendor.asked == asked
    with timed.read() as conn:
        assert [s.last for s in points.series(conn) if s.name == "credits_left"] == [7.5]


def test_a_vendor_without_an_answer_leaves_the_gauge_as_it_was(timed: Ledger, config: Catalog, vendor: Vendor) -> None:
    vendor.answer = BackendError("down", kind=FailureKind.TRANSIENT, money_moved="no")
    assert ask_for_credits(timed, config) == 0


def test_a_vendor_without_an_answer_is_asked_no_oftener_than_one_with(
    timed: Ledger, config: Catalog, clock: Clock, vendor: Vendor
) -> None:
    vendor.answer = BackendError("down", kind=FailureKind.TRANSIENT, money_moved="no")
    for _ in range(9):
        ask_for_credits(timed, config)
        clock.after(minutes=1)
    assert vendor.asked == 1
    clock.after(minutes=1)
    ask_for_credits(timed, config)
    assert vendor.asked == 2


def shown(ledger: Ledger, config: Catalog, *sinks: str) -> dict[tuple[str, ...], float]:
    """What the gauges say after a refresh."""
    refresh(ledger, config, sinks)
    with ledger.write() as conn:
        points.fold(conn)
        return {(s.name, *s.labels.values()): s.last for s in points.series(conn)}


def test_a_cap_set_by_hand_is_what_is_left_before_the_next_hold_knows_it(timed: Ledger, config: Catalog, clock: Clock) -> None:
    assert shown(timed, config)["budget_left",] == 100
    with timed.write() as conn:
        limits.set_cap(conn, Scope(kind="day"), 30 * USD, by="ann", catalog=config, now=clock())
    assert shown(timed, config)["budget_left",] == 30
    clock.after(days=1)
    assert shown(timed, config)["budget_left",] == 30, "it stands on every later day too, before anything is bought there"


def test_the_trouble_of_a_sink_ends_with_the_sink(timed: Ledger, config: Catalog, clock: Clock) -> None:
    shown(timed, config, "otlp")
    with timed.write() as conn:
        one = points.series(conn)[0]
        for _ in range(cursors.REFUSALS):
            cursors.refuse(conn, "otlp", [cursors.Refused(one, "no")], now=clock())
    assert shown(timed, config, "otlp")["series_quarantined", "otlp"] == 1
    clock.after(minutes=1)
    assert shown(timed, config)["series_quarantined", "otlp"] == 0
