"""Metric points fold into series exactly once, and the lines people alert on are bucket bounds."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.errors import ConfigError
from aiprod.ledger import points
from aiprod.ledger.points import Series
from tests.desk import NOW, race, rows

#: Of each of these there are a few words, whatever is ordered.
LABELS = {
    "backend", "cap", "code", "dimension", "direction", "model", "preset", "question", "reason", "result", "sink", "stage",
    "status", "to",
}  # fmt: skip


def emit(ledger, *values, name="quality_score", **labels):
    labels = labels or {"dimension": "technical"}
    with ledger.write() as conn:
        for value in values:
            points.emit(conn, name, value, now=NOW, **labels)


def fold(ledger, limit=5_000):
    with ledger.write() as conn:
        return points.fold(conn, limit=limit)


def folded(ledger):
    with ledger.read() as conn:
        return {(s.name, *s.labels.values()): s for s in points.series(conn)}


class TestFold:
    def test_a_series_says_what_its_points_said(self, ledger):
        values = [0.2, 0.6, 0.6, 0.95, 1.0]
        emit(ledger, *values)
        assert fold(ledger) == 5
        (series,) = folded(ledger).values()
        assert (series.count, series.revision, series.last) == (5, 5, 1.0)
        assert series.total == pytest.approx(math.fsum(values))
        assert series.mean == pytest.approx(statistics.fmean(values))
        assert series.m2 == pytest.approx(statistics.pvariance(values) * 5)
        assert series.started_at < NOW == series.last_at

    def test_each_point_is_folded_once_however_often_and_by_however_many(self, ledger):
        emit(ledger, *[0.5] * 20)
        race(4, lambda _: fold(ledger, limit=7))
        while fold(ledger, limit=7):
            pass
        (series,) = folded(ledger).values()
        assert series.count == sum(series.buckets) == 20
        assert rows(ledger, "metric_outbox") == {"metric_outbox": []}

    def test_folding_in_portions_is_folding_at_once(self, ledger):
        for value in (0.1, 0.7, 0.7, 0.9):
            emit(ledger, value)
            fold(ledger)
        emit(ledger, 0.1, 0.7, 0.7, 0.9, dimension="semantic")
        fold(ledger)
        one, other = (folded(ledger)["quality_score", d] for d in ("technical", "semantic"))
        assert one.model_copy(update={"labels": other.labels}) == other

    def test_a_fold_that_dies_loses_and_repeats_nothing(self, ledger):
        emit(ledger, 0.5, 0.6)
        with pytest.raises(ZeroDivisionError), ledger.write() as conn:  # noqa: PT012 - the transaction around the error is what is tested
            points.fold(conn)
            raise ZeroDivisionError
        assert folded(ledger) == {}
        assert fold(ledger) == 2
        assert folded(ledger)["quality_score", "technical"].count == 2

    def test_a_point_of_a_transaction_that_failed_was_never_written(self, ledger):
        with pytest.raises(ZeroDivisionError), ledger.write() as conn:  # noqa: PT012 - the transaction around the error is what is tested
            points.emit(conn, "jobs", 1, now=NOW, status="delivered")
            raise ZeroDivisionError
        assert fold(ledger) == 0

    def test_label_sets_are_series_of_their_own(self, ledger):
        emit(ledger, 1.0, name="cost", backend="runway")
        emit(ledger, 2.0, name="cost", backend="veo3")
        fold(ledger)
        assert {key: s.total for key, s in folded(ledger).items()} == {("cost", "runway"): 1.0, ("cost", "veo3"): 2.0}

    def test_what_is_no_distribution_has_no_buckets(self, ledger):
        emit(ledger, 1.0, name="cost", backend="runway")
        fold(ledger)
        assert folded(ledger)["cost", "runway"].buckets is None


class TestRegister:
    def test_a_name_nobody_registered_is_refused(self, ledger):
        with pytest.raises(ConfigError, match=r"metric nonsense with labels \[\] is not in"), ledger.write() as conn:
            points.emit(conn, "nonsense", 1, now=NOW)

    @pytest.mark.parametrize("labels", [{}, {"job_id": "j"}, {"status": "x", "job_id": "j"}], ids=str)
    def test_a_label_set_nobody_registered_is_refused(self, ledger, labels):
        with pytest.raises(ConfigError, match="metric jobs"), ledger.write() as conn:
            points.emit(conn, "jobs", 1, now=NOW, **labels)

    def test_the_lines_people_alert_on_are_bounds(self, config):
        assert 900 in config.metrics["pipeline_duration"].bounds
        assert 0.6 in config.metrics["quality_score"].bounds

    def test_every_distribution_has_rising_bounds(self, config):
        for name, metric in config.metrics.items():
            assert list(metric.bounds or ()) == sorted(set(metric.bounds or ())), name

    def test_no_label_could_name_a_job_a_prompt_or_a_person(self, config):
        for metric in config.metrics.values():
            assert set(metric.labels) <= LABELS


class TestSeries:
    BOUNDS = (0.6, 0.9)

    def empty(self):
        return Series(
            name="x",
            labels={},
            started_at=NOW,
            count=0,
            total=0,
            mean=0,
            m2=0,
            buckets=(0, 0, 0),
            last=0,
            last_at=NOW,
            revision=0,
        )

    @pytest.mark.parametrize(("value", "bucket"), [(0.59, 0), (0.6, 1), (0.89, 1), (0.9, 2), (1.0, 2)])
    def test_a_value_on_a_bound_counts_as_having_reached_it(self, value, bucket):
        buckets = self.empty().add(value, NOW, self.BOUNDS).buckets
        assert buckets.index(1) == bucket

    def test_an_old_point_is_counted_but_is_not_the_last(self):
        newer = self.empty().add(0.5, NOW, self.BOUNDS)
        both = newer.add(0.1, NOW.replace(year=2025), self.BOUNDS)
        assert (both.count, both.last) == (2, 0.5)

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
    def test_mean_and_spread_are_those_of_the_values(self, values):
        series = self.empty()
        for value in values:
            series = series.add(value, NOW, self.BOUNDS)
        assert series.count == sum(series.buckets) == len(values)
        assert series.mean == pytest.approx(statistics.fmean(values), abs=1e-6)
        assert series.m2 == pytest.approx(statistics.pvariance(values) * len(values), rel=1e-6, abs=1e-3)
