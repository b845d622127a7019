"""Any collector gets the totals, and whatever it answers loses nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)

from aiprod.catalog import Catalog
from aiprod.ledger import Ledger, points
from aiprod.metrics import flush
from aiprod.metrics.otlp import OpenTelemetry
from tests.aiprod.metrics.conftest import Clock
from tests.collector import Collector

#: Counts so many jobs, lets the minute pass and flushes; returns the troubles.
Send = Callable[..., tuple[str, ...]]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def sent(timed: Ledger, config: Catalog, clock: Clock, collector: Collector) -> Send:
    def flushed(jobs: int = 0) -> tuple[str, ...]:
        with timed.write() as conn:
            for _ in range(jobs):
                points.emit(conn, "jobs", 1, now=clock(), status="delivered")
                points.emit(conn, "quality_score", 0.6, now=clock(), dimension="technical")
        clock.after(minutes=1)
        return flush(timed, config, sinks=[OpenTelemetry(timed, collector.url)]).troubles

    return flushed


def jobs(collector: Collector) -> int:
    return next(int(p.as_int) for p in collector.last("aiprod.jobs") if p.attributes[0].value.string_value == "delivered")  # type: ignore[attr-defined]


def test_totals_are_cumulative_sums_and_histograms_under_the_ledgers_name(sent: Send, collector: Collector) -> None:
    assert sent(3) == ()
    assert sent(2) == ()
    assert jobs(collector) == 5
    (seen,) = [p for p in collector.last("aiprod.quality_score") if p.count]  # type: ignore[attr-defined]
    assert (seen.count, sum(seen.bucket_counts), len(seen.bucket_counts)) == (5, 5, len(seen.explicit_bounds) + 1)  # type: ignore[attr-defined]
    assert seen.start_time_unix_nano < seen.time_unix_nano  # type: ignore[attr-defined]
    named = {a.key: a.value.string_value for a in collector.got[0].resource_metrics[0].resource.attributes}
    assert len(named["service.instance.id"]) == 32
    assert {r.resource_metrics[0].resource.attributes[1].value.string_value for r in collector.got} == {"aiprod"}
    assert collector.headers["path"] == "/v1/metrics"


PARTIAL = ExportMetricsServiceResponse(partial_success=ExportMetricsPartialSuccess(rejected_data_points=1, error_message="full"))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((503, b""), "HTTP 503"),
        ((401, b""), "look at AIPROD_OTLP_ENDPOINT"),
        ((400, b""), "HTTP 400"),
        ((200, PARTIAL.SerializeToString()), "points were not taken: full"),
        ((200, b"<html>Sign in</html>"), "not a collector's"),
    ],
    ids=["down", "refused", "wrong", "partial", "a sign-in page"],
)
def test_what_was_not_taken_comes_with_the_next_total(
    sent: Send, collector: Collector, answer: tuple[int, bytes], said: str
) -> None:
    collector.answers = [answer]
    (trouble,) = sent(3)
    assert said in trouble
    assert sent(2) == ()
    assert jobs(collector) == 5


def test_nobody_there_is_told_and_keeps_everything(
    sent: Send, collector: Collector, timed: Ledger, config: Catalog, clock: Clock
) -> None:
    clock.after(minutes=1)
    away = OpenTelemetry(timed, "http://127.0.0.1:9")
    (trouble,) = flush(timed, config, sinks=[away], seconds=1).troubles
    assert "no answer" in trouble
    assert sent(1) == ()
    assert jobs(collector) == 1


def test_headers_are_sent_and_never_told(sent: Send, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter2, tenant = a")
    collector.answers = [(401, b"hunter2")]
    assert "hunter2" not in sent(1)[0]
    assert (collector.headers["api-key"], collector.headers["tenant"]) == ("hunter2", "a")


def test_an_address_may_name_the_path_itself(timed: Ledger, config: Catalog, clock: Clock, collector: Collector) -> None:
    clock.after(minutes=1)
    assert flush(timed, config, sinks=[OpenTelemetry(timed, f"{collector.url}/v1/metrics")]).troubles == ()
    assert collector.headers["path"] == "/v1/metrics"


def test_two_sinks_have_cursors_of_their_own(timed: Ledger, config: Catalog, clock: Clock, collector: Collector) -> None:
    here, away = OpenTelemetry(timed, collector.url), OpenTelemetry(timed, "http://127.0.0.1:9")
    away.name = "another"
    clock.after(minutes=1)
    flush(timed, config, sinks=[away, here], seconds=2)
    clock.now += timedelta(minutes=1)
    flushed = flush(timed, config, sinks=[away, here], seconds=2)
    assert flushed.sent["otlp"] <= 2 and flushed.sent["another"] == 0
