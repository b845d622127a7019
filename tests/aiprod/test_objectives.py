"""An objective is judged by the same figures as its alerts, and says how many errors are left."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import repeat

import pytest

from aiprod import objectives
from aiprod.alerting import happenings
from aiprod.ledger import Ledger, history, points
from aiprod.objectives import Standing
from tests.desk import NOW
from tests.market import Market


def emit(market: Market, name: str, *values: float, **labels: str) -> None:
    with market.ledger.write() as conn:
        for value in values:
            points.emit(conn, name, value, now=NOW, **labels)
    market.pipeline.push_metrics()


def standing(market: Market, name: str) -> Standing:
    return next(one for one in objectives.standings(market.ledger, market.catalog) if one.name == name)


@pytest.fixture
def quiet(sqlite_url: str, open_market: Callable[[Ledger, str], Market]) -> Market:
    return open_market(Ledger(sqlite_url, clock=lambda: NOW), "ListingVendor")


def test_nothing_measured_is_neither_kept_nor_missed(quiet: Market) -> None:
    found = standing(quiet, "latency_7d")
    assert (found.reached, found.left, found.middle, found.p95) == (None, None, None, None)


def test_the_bound_itself_is_bad_for_a_time_and_good_for_a_score(quiet: Market) -> None:
    emit(quiet, "pipeline_duration", 899.9, 900.0, status="delivered")
    emit(quiet, "quality_score", 0.5999, 0.6, dimension="quality")
    slow, poor = standing(quiet, "latency_7d"), standing(quiet, "quality_7d")
    assert (slow.good, slow.bad, poor.good, poor.bad) == (1, 1, 1, 1)


def test_jobs_that_were_not_delivered_are_no_slow_ones(quiet: Market) -> None:
    emit(quiet, "pipeline_duration", 5_000, status="failed")
    assert standing(quiet, "latency_7d").reached is None


def test_the_error_budget_is_what_may_be_bad_less_what_was(quiet: Market) -> None:
    emit(quiet, "pipeline_duration", *repeat(60.0, 39), 1_000.0, status="delivered")
    found = standing(quiet, "latency_7d")
    assert (found.reached, round(found.allowed, 6), round(found.left or 0, 6)) == (0.975, 2.0, 0.5)
    emit(quiet, "pipeline_duration", 1_000.0, 1_000.0, status="delivered")
    assert (standing(quiet, "latency_7d").left or 0) < 0


def test_an_alert_and_the_page_count_the_same(quiet: Market) -> None:
    emit(quiet, "quality_score", *repeat(0.9, 10), *repeat(0.1, 90), dimension="quality")
    found = standing(quiet, "quality_7d")
    with quiet.ledger.read() as conn:
        rates = {
            seen.value
            for seen in happenings(
                quiet.catalog, lambda name, seconds: history.growth(conn, name, since=NOW - timedelta(seconds=seconds))
            )
            if seen.alert.startswith("quality_7d")
        }
    assert {round(rate, 6) for rate in rates} == {round(1 - (found.left or 0), 6)} == {9.0}


def test_what_is_older_than_seven_days_is_not_counted(sqlite_url: str, open_market: Callable[[Ledger, str], Market]) -> None:
    clock = {"now": NOW}
    market = open_market(Ledger(sqlite_url, clock=lambda: clock["now"]), "ListingVendor")
    emit(market, "quality_score", 0.1, dimension="quality")
    market.pipeline.flush_metrics()
    assert standing(market, "quality_7d").bad == 1
    clock["now"] += timedelta(days=7, minutes=10)
    assert standing(market, "quality_7d").bad == 0


def test_the_distribution_counts_every_value_once(quiet: Market) -> None:
    emit(quiet, "pipeline_duration", 10, 100, 100, 100_000, status="delivered")
    found = standing(quiet, "latency_7d")
    assert sum(found.buckets) == 4 and len(found.buckets) == len(found.bounds) + 1
    assert found.buckets[0] == found.buckets[-1] == 1
    assert found.p95 == found.bounds[-1]
