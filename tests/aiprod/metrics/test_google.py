"""Cloud Monitoring gets every count exactly once, through outages, lost answers, lies and refusals, and slows nobody."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from aiprod.catalog import Catalog
from aiprod.emulators.monitoring import Monitoring
from aiprod.ledger import Ledger, cursors, points
from aiprod.metrics import flush, push
from aiprod.metrics.flushing import Flushed
from aiprod.metrics.google import CloudMonitoring
from aiprod.metrics.sinks import Sink
from tests.aiprod.metrics.conftest import Clock


def emit(ledger: Ledger, times: int = 1, name: str = "jobs", value: float = 1, **labels: str) -> None:
    with ledger.write() as conn:
        for _ in range(times):
            points.emit(conn, name, value, now=ledger_now(ledger), **(labels or {"status": "delivered"}))


def ledger_now(ledger: Ledger) -> datetime:
    with ledger.read() as conn:
        from aiprod.ledger.engine import now

        return now(conn)


def told(ledger: Ledger, config: Catalog, clock: Clock, *, minutes: float = 1) -> Flushed:
    """Let the next minute's leader flush."""
    clock.after(minutes=minutes)
    return flush(ledger, config, sinks=[CloudMonitoring(ledger)])


class TestExact:
    def test_a_flush_tells_every_series_and_the_next_tells_only_what_changed(
        self, timed: Ledger, config: Catalog, clock: Clock, service: Monitoring
    ) -> None:
        emit(timed, 3)
        first = told(timed, config, clock)
        assert first.troubles == () and service.refused == []
        assert first.sent["cloud_monitoring"] == len(service.series) > 40
        assert service.last("jobs", status="delivered").int64_value == 3
        emit(timed, 2)
        assert told(timed, config, clock).sent["cloud_monitoring"] == 1
        assert service.last("jobs", status="delivered").int64_value == 5

    def test_an_unchanged_series_is_told_again_before_it_is_forgotten(
        self, timed: Ledger, config: Catalog, clock: Clock, service: Monitoring
    ) -> None:
        everything = told(timed, config, clock).sent["cloud_monitoring"]
        assert told(timed, config, clock).sent["cloud_monitoring"] == 0
        assert told(timed, config, clock, minutes=4).sent["cloud_monitoring"] == everything
        assert service.refused == []

    @pytest.mark.parametrize("fault", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, "lost-ack", "lie"])
    def test_whatever_happens_to_a_request_the_next_point_carries_the_whole_total(
        self, timed: Ledger, config: Catalog, clock: Clock, service: Monitoring, fault: object
    ) -> None:
        emit(timed, 3)
        service.faults = [fault]  # type: ignore[list-item]
        told(timed, config, clock)
        emit(timed, 4)
        told(timed, config, clock)
        assert service.last("jobs", status="delivered").int64_value == 7

    @pytest.mark.parametrize("fault", [grpc.StatusCode.UNAVAILABLE, "lost-ack"])
    def test_what_was_not_taken_is_told_though_nothing_follows(
        self, timed: Ledger, config: Catalog, clock: Clock, service: Monitoring, fault: object
    ) -> None:
        emit(timed, 3)
        service.faults = [fault]  # type: ignore[list-item]
        assert told(timed, config, clock).troubles
        assert told(timed, config, clock).sent["cloud_monitoring"] > 40
        assert service.last("jobs", status="delivered").int64_value == 3

    def test_an_outage_of_forty_hours_loses_nothing(
        self, timed: Ledger, config: Catalog, clock: Clock, service: Monitoring
    ) -> None:
        for _ in range(10):
            emit(timed, 4)
            emit(timed, 4, "quality_score", 0.7, dimension="technical")
            service.faults = [grpc.StatusCode.UNAVAILABLE]
            assert told(timed, config, clock, minutes=4 * 60).troubles
        told(timed, config, clock)
        assert service.last("jobs", status="delivered").int64_value == 40
        seen = service.last("quality_score", dimension="technical").distribution_value
        assert (seen.count, sum(seen.bucket_counts), seen.mean) == (40, 40, pytest.approx(0.7))
        assert service.refused == []

    def test_two_flushers_within_a_second_are_refused_without_harm(
        self, timed: Ledger, config: Catalog, clock: Clock, service: Monitoring
    ) -> None:
        sink = CloudMonitoring(timed)
        sink.gap = timedelta(0)
        for _ in range(6):
            emit(timed, 1)
            clock.after(seconds=1)
            flush(timed, config, sinks=[sink])
        assert service.refused, "the service wants five seconds between two points"
        told(timed, config, clock)
        assert service.last("jobs", status="delivered").int64_value == 6
        with timed.read() as conn:
            assert cursors.quarantined(conn, "cloud_monitoring") == 0

    def test_processes_that_are_killed_after_their_work_and_a_service_that_fails_count_exactly(
        self, ledger: Ledger, config: Catalog, clock: Clock, service: Monitoring
    ) -> None:
        """Six processes write, two of them die right after their commit; every answer may be lost on the way."""
        context = multiprocessing.get_context("fork")
        workers = [context.Process(target=_work, args=(ledger.url, n)) for n in range(6)]
        for worker in workers:
            worker.start()
        shared, chance = Ledger(ledger.url, clock=clock), random.Random(7)  # noqa: S311 - which fault comes next
        clock.now = datetime.now(UTC) + timedelta(minutes=1)
        while any(worker.is_alive() for worker in workers):
            service.faults = [chance.choice([None, None, grpc.StatusCode.UNAVAILABLE, "lost-ack", "lie"])]
            told(shared, config, clock)
        for worker in workers:
            worker.join()
        service.faults = []
        told(shared, config, clock, minutes=5)
        assert sum(service.last("jobs", status=status).int64_value for status in ("delivered", "failed")) == 6 * 30
        assert service.last("cost", backend="runway").double_value == pytest.approx(6 * 30 * 0.25)
        assert service.last("quality_score", dimension="semantic").distribution_value.count == 6 * 30


def _work(url: str, seed: int) -> None:
    mine, chance = Ledger(url), random.Random(seed)  # noqa: S311 - figures
    for n in range(30):
        with mine.write() as conn:
            now = datetime.now(UTC)
            points.emit(conn, "jobs", 1, now=now, status="delivered" if chance.random() < 0.9 else "failed")
            points.emit(conn, "cost", 0.25, now=now, backend="runway")
            points.emit(conn, "quality_score", chance.random(), now=now, dimension="semantic")
        if seed % 3 == 0 and n == 29:
            os._exit(9)


class TestRefusals:
    """A registry that disagrees with the service: one metric is stored there with another value type."""

    @pytest.fixture
    def stranger(self, service: Monitoring) -> Monitoring:
        from google.api import metric_pb2

        kind = "custom.googleapis.com/aiprod/jobs"
        service.descriptors[kind] = metric_pb2.MetricDescriptor(type=kind, metric_kind="CUMULATIVE", value_type="DOUBLE")
        return service

    def test_where_a_refusal_names_but_one_of_several_the_others_are_stored_all_the_same(
        self, timed: Ledger, config: Catalog, clock: Clock, stranger: Monitoring
    ) -> None:
        stranger.named = 1
        for n in range(1, 4 * cursors.REFUSALS + 2):
            emit(timed, 1, "cost", 0.25, backend="runway")
            told(timed, config, clock)
            assert stranger.last("cost", backend="runway").double_value == 0.25 * n
        assert told(timed, config, clock).troubles == (), "one after the other, all four are in quarantine"

    def test_the_others_of_a_request_are_stored_and_known_to_be(
        self, timed: Ledger, config: Catalog, clock: Clock, stranger: Monitoring
    ) -> None:
        flushed = told(timed, config, clock)
        assert flushed.refused["cloud_monitoring"] == 4, "jobs by their four statuses"
        assert flushed.sent["cloud_monitoring"] == len(stranger.series)
        assert told(timed, config, clock).sent["cloud_monitoring"] == 1, "how many were refused"

    def test_what_is_refused_again_and_again_is_put_into_quarantine_and_counted(
        self, timed: Ledger, config: Catalog, clock: Clock, stranger: Monitoring
    ) -> None:
        for _ in range(cursors.REFUSALS + 1):
            told(timed, config, clock, minutes=5)
        before = len(stranger.refused)
        told(timed, config, clock, minutes=5)
        assert len(stranger.refused) == before, "it is asked for no more"
        assert stranger.last("series_quarantined", sink="cloud_monitoring").double_value == 4
        assert stranger.last("points_refused", sink="cloud_monitoring").int64_value == 4 * cursors.REFUSALS

    def test_after_a_day_it_is_tried_again_and_nothing_of_it_is_lost(
        self, timed: Ledger, config: Catalog, clock: Clock, stranger: Monitoring
    ) -> None:
        emit(timed, 3)
        for _ in range(cursors.REFUSALS + 1):
            told(timed, config, clock, minutes=5)
        stranger.descriptors.clear()
        emit(timed, 2)
        told(timed, config, clock, minutes=24 * 60)
        assert stranger.last("jobs", status="delivered").int64_value == 5
        told(timed, config, clock)
        assert stranger.last("series_quarantined", sink="cloud_monitoring").double_value == 0

    def test_a_clock_that_is_wrong_puts_nothing_into_quarantine(
        self, timed: Ledger, config: Catalog, clock: Clock, service: Monitoring
    ) -> None:
        service.clock = lambda: (clock() - timedelta(hours=1)).timestamp()
        for _ in range(cursors.REFUSALS + 1):
            (trouble,) = told(timed, config, clock).troubles
            assert "future" in trouble
        service.clock = lambda: clock().timestamp()
        assert told(timed, config, clock).troubles == ()


class TestTheEndOfAJob:
    @pytest.mark.parametrize("how", ["slow", "nobody is there"])
    def test_a_service_that_does_not_answer_costs_a_job_its_two_seconds_at_most(
        self, timed: Ledger, config: Catalog, clock: Clock, service: Monitoring, how: str
    ) -> None:
        if how == "slow":
            service.faults = ["slow"] * 5
        else:
            service.stop()
        begun = time.monotonic()
        push(timed, config, sinks=[CloudMonitoring(timed)], seconds=0.5)
        assert time.monotonic() - begun < 2
        service.faults = []

    def test_a_sink_that_hangs_in_spite_of_its_timeout_is_left_behind(self, timed: Ledger, config: Catalog, clock: Clock) -> None:
        hanging = _Hanging()
        begun = time.monotonic()
        push(timed, config, sinks=[hanging], seconds=0.2)
        assert time.monotonic() - begun < 2
        hanging.ended.set()


class _Hanging:
    name, gap, heartbeat = "otlp", timedelta(0), timedelta(hours=1)

    def __init__(self) -> None:
        import threading

        self.ended = threading.Event()

    def send(self, batch: object, ended_at: datetime, *, seconds: float) -> object:
        self.ended.wait(30)
        raise ConnectionError


def test_a_sink_that_breaks_its_contract_keeps_no_other_from_being_told(
    timed: Ledger, config: Catalog, clock: Clock, service: Monitoring
) -> None:
    class Broken(_Hanging):
        def send(self, batch: object, ended_at: datetime, *, seconds: float) -> object:
            raise ZeroDivisionError

    sinks: list[Sink] = [Broken(), CloudMonitoring(timed)]  # type: ignore[list-item]
    clock.after(minutes=1)
    flushed = flush(timed, config, sinks=sinks)
    assert flushed.troubles == ("otlp: ZeroDivisionError",)
    assert flushed.sent["cloud_monitoring"] > 0


def test_without_a_project_it_says_so_and_keeps_everything(
    timed: Ledger, config: Catalog, clock: Clock, service: Monitoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GCP_PROJECT_ID")
    emit(timed, 1)
    assert told(timed, config, clock).troubles == ("cloud_monitoring: GCP_PROJECT_ID is not set, or is no project",)
    monkeypatch.setenv("GCP_PROJECT_ID", "p")
    told(timed, config, clock)
    assert service.last("jobs", status="delivered").int64_value == 1


def test_only_one_process_at_a_time_tells(timed: Ledger, config: Catalog, clock: Clock, service: Monitoring) -> None:
    from aiprod.ledger import leases

    with timed.write() as conn:
        assert leases.take(conn, "metrics", "another", lasts=timedelta(minutes=2), now=clock())
    assert not told(timed, config, clock).leader
    assert service.requests == []
    assert told(timed, config, clock, minutes=2).leader
