"""Any OpenTelemetry collector as a sink: one request over HTTP with the totals of all series, in the protocol's own words."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx

from aiprod.backends.calling import OneCall
from aiprod.backends.keys import keys_of
from aiprod.catalog import catalog
from aiprod.ledger import Ledger, readings
from aiprod.ledger.cursors import Refused
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.points import Series
from aiprod.metrics.sinks import Sent

if TYPE_CHECKING:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

__all__ = ["OpenTelemetry", "request"]

_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
#: The collector's own trouble. Any other status is about the address or the headers, which somebody has to look at.
_ITS_OWN = (408, 429, 500, 502, 503, 504)
#: `AGGREGATION_TEMPORALITY_CUMULATIVE`.
_CUMULATIVE: Any = 2


class OpenTelemetry:
    """Exports to `<endpoint>/v1/metrics`. Headers, a key among them, come from `OTEL_EXPORTER_OTLP_HEADERS`."""

    name = "otlp"
    gap = timedelta(seconds=30)
    heartbeat = timedelta(seconds=240)

    def __init__(self, ledger: Ledger, endpoint: str) -> None:
        self._ledger = ledger
        self._address = endpoint if endpoint.endswith("/v1/metrics") else f"{endpoint}/v1/metrics"

    def send(self, batch: Sequence[Series], ended_at: datetime, *, seconds: float) -> Sent:
        """Export the totals of some series in one request, once."""
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

        with self._ledger.write() as conn:
            ledger = readings.ledger_id(conn, now=database_now(conn))
        body = gzip.compress(request(batch, ended_at, ledger).SerializeToString())
        headers = {"content-type": "application/x-protobuf", "content-encoding": "gzip", **_headers()}
        try:
            with httpx.Client(transport=OneCall(seconds), trust_env=False, follow_redirects=False) as http:
                answer = http.post(self._address, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Sent(trouble=f"no answer ({type(error).__name__})")
        if answer.status_code != 200:
            return self._not_taken(batch, answer.status_code)
        try:
            told = ExportMetricsServiceResponse.FromString(answer.content).partial_success
        except DecodeError:
            return Sent(trouble="the answer is not a collector's")
        if told.rejected_data_points:
            # It does not say which: all of them are told again with their next totals.
            said = " ".join(told.error_message.split())[:200]
            return Sent(trouble=f"{told.rejected_data_points} of {len(batch)} points were not taken: {said}")
        return Sent(stored=tuple(batch))

    def _not_taken(self, batch: Sequence[Series], status: int) -> Sent:
        # A request that is wrong in itself can be the fault of its one series; of many it could be anybody's.
        if status == 400 and len(batch) == 1:
            return Sent(refused=(Refused(batch[0], "HTTP 400"),))
        return Sent(trouble=f"HTTP {status}" + ("" if status in _ITS_OWN else ": look at AIPROD_OTLP_ENDPOINT and its headers"))


def _headers() -> dict[str, str]:
    """`a=b,c=d`, as every OpenTelemetry exporter reads it."""
    pairs = [part.split("=", 1) for part in keys_of("otlp", (_HEADERS,)).get(_HEADERS, "").split(",") if "=" in part]
    return {name.strip().lower(): value.strip() for name, value in pairs}


def request(batch: Sequence[Series], ended_at: datetime, ledger: str) -> ExportMetricsServiceRequest:
    """Return the export of some series as of a moment, under a ledger's name."""
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
    from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics, ScopeMetrics
    from opentelemetry.proto.resource.v1.resource_pb2 import Resource

    named = {"service.name": "aiprod", "service.namespace": "aiprod", "service.instance.id": ledger}
    by_name: dict[str, list[Series]] = {}
    for each in batch:
        by_name.setdefault(each.name, []).append(each)
    scoped = ScopeMetrics(
        scope=InstrumentationScope(name="aiprod"), metrics=[_metric(n, s, ended_at) for n, s in by_name.items()]
    )
    resource = Resource(attributes=_attributes(named))
    return ExportMetricsServiceRequest(resource_metrics=[ResourceMetrics(resource=resource, scope_metrics=[scoped])])


def _metric(name: str, several: Sequence[Series], ended_at: datetime) -> Metric:
    from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

    known = catalog().metrics[name]
    about: dict[str, Any] = {"name": f"aiprod.{name}", "description": known.description, "unit": known.unit}

    def point(of: type[Any], each: Series, **said: Any) -> Any:
        times = {"start_time_unix_nano": _nanos(each.started_at), "time_unix_nano": _nanos(ended_at)}
        return of(attributes=_attributes(each.labels), **times, **said)

    if known.kind == "distribution":
        points = [
            point(
                pb.HistogramDataPoint,
                each,
                count=each.count,
                sum=each.total,
                bucket_counts=each.buckets or (),
                explicit_bounds=known.bounds or (),
            )
            for each in several
        ]
        return pb.Metric(**about, histogram=pb.Histogram(data_points=points, aggregation_temporality=_CUMULATIVE))
    if known.kind == "gauge":
        return pb.Metric(**about, gauge=pb.Gauge(data_points=[point(pb.NumberDataPoint, s, as_double=s.last) for s in several]))
    whole = known.kind == "counter"
    points = [
        point(pb.NumberDataPoint, s, as_int=round(s.total)) if whole else point(pb.NumberDataPoint, s, as_double=s.total)
        for s in several
    ]
    counted = pb.Sum(data_points=points, aggregation_temporality=_CUMULATIVE, is_monotonic=True)
    return pb.Metric(**about, sum=counted)


def _attributes(labels: dict[str, str]) -> list[Any]:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

    return [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in sorted(labels.items())]


def _nanos(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000_000 + at.microsecond * 1_000
