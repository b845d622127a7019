"""Gauges show the ledger as it stands, cost nothing while nothing changes, and series begin at zero."""

from __future__ import annotations

import pytest

from aiprod.catalog import Catalog
from aiprod.errors import BackendError, FailureKind
from aiprod.ledger import Ledger, points
from aiprod.metrics import gauges
from aiprod.metrics.gauges import ask_for_credits, refresh
from aiprod.models import Checkup
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
