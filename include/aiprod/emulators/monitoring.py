"""Google Cloud Monitoring over gRPC on loopback: strict where the real service is, so that whoever passes here is well formed.

Points, descriptors, alert policies, notification channels, services and objectives. The rules of a point are in
`monitoring_rules`; dashboards are spoken over HTTP by the real service too, and are in `monitoring_dashboards`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent import futures
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

import grpc  # type: ignore[import-untyped]
from google.api import metric_pb2  # type: ignore[import-untyped]
from google.cloud import monitoring_v3 as m
from google.protobuf import any_pb2, empty_pb2  # type: ignore[import-untyped]
from google.rpc import code_pb2, status_pb2  # type: ignore[import-untyped]
from grpc_status import rpc_status  # type: ignore[import-untyped]

from aiprod.emulators.monitoring_dashboards import DashboardServer
from aiprod.emulators.monitoring_plans import Methods, Plans
from aiprod.emulators.monitoring_rules import Key, Stored, check, key_of, problem_of_descriptor

__all__ = ["Fault", "Monitoring"]

#: The next request: refused with a status, stored and the answer lost, or taken and not stored.
Fault: TypeAlias = grpc.StatusCode | Literal["lost-ack", "lie", "slow"]
_PER_REQUEST = 200
#: How long a slow answer takes; longer than anybody waits.
_SLOW = 30.0


class Monitoring:
    """In threads of this process. `with Monitoring() as service: … service.target`"""

    def __init__(self, *, port: int = 0, clock: Callable[[], float] = time.time, named: int = _PER_REQUEST) -> None:
        """`clock` is the service's own; `named` is how many bad series a refusal names, the real service may give one."""
        self.clock, self.named = clock, named
        self.descriptors: dict[str, Any] = {}
        self.series: dict[Key, list[Stored]] = {}
        self.plans = Plans(self.descriptors)
        #: What happens to the next requests for points, in order; None: nothing.
        self.faults: list[Fault | None] = []
        #: How many series each request for points had, and why series were refused.
        self.requests: list[int] = []
        self.refused: list[str] = []
        self._turn = threading.Lock()
        self._ended = threading.Event()
        # Without SO_REUSEPORT: two emulators on one port would share its requests.
        self._server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        for service, methods in self._methods().items():
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
        self.port: int = self._server.add_insecure_port(f"127.0.0.1:{port}")
        if not self.port:
            raise OSError(f"port {port} is taken")
        self._dashboards = DashboardServer(self.plans)

    @property
    def environment(self) -> dict[str, str]:
        """What to set so that AIPROD writes here; nothing is set by itself."""
        dashboards = f"http://127.0.0.1:{self._dashboards.server_address[1]}"
        return {"AIPROD_GCM_ENDPOINT": f"grpc://127.0.0.1:{self.port}", "AIPROD_GCM_DASHBOARDS": dashboards}

    def start(self) -> Self:
        """Serve from now on."""
        self._server.start()
        threading.Thread(target=self._dashboards.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Serve no more; what is stored stays to be looked at."""
        self._ended.set()
        self._server.stop(0).wait()
        self._dashboards.shutdown()
        self._dashboards.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def last(self, name: str, **labels: str) -> Any:
        """The last value stored of one of our metrics, as a `TypedValue`; None before there is one."""
        for key, stored in self.series.items():
            if key.type.rsplit("/", 1)[-1] == name and dict(key.labels) == labels and stored:
                return stored[-1].value
        return None

    # --- points ---------------------------------------------------------------------------------------------------

    def _create_time_series(self, request: Any, context: Any) -> Any:
        with self._turn:
            fault = self.faults.pop(0) if self.faults else None
            self.requests.append(len(request.time_series))
        if isinstance(fault, grpc.StatusCode):
            context.abort(fault, f"injected {fault.name}")
        if fault == "slow":
            self._ended.wait(_SLOW)
            context.abort(grpc.StatusCode.UNAVAILABLE, "too slow for anybody")
        if fault == "lie":
            return empty_pb2.Empty()
        if len(request.time_series) > _PER_REQUEST:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{len(request.time_series)} TimeSeries; at most {_PER_REQUEST}")
        bad = self._stored(request.time_series)
        if fault == "lost-ack":
            context.abort(grpc.StatusCode.UNAVAILABLE, "the answer was lost after the points were stored")
        if bad:
            context.abort_with_status(rpc_status.to_status(_refusal(bad, len(request.time_series), self.named)))
        return empty_pb2.Empty()

    def _stored(self, several: Any) -> dict[int, str]:
        """Store what is right; return why the others are not, by their number."""
        bad: dict[int, str] = {}
        seen: set[Key] = set()
        with self._turn:
            for n, series in enumerate(several):
                key = key_of(series)
                why = check(series, self.descriptors, self.series.get(key, []), now=self.clock(), repeated=key in seen)
                seen.add(key)
                if why:
                    bad[n] = why
                    continue
                interval = series.points[0].interval
                start = interval.start_time.timestamp() if interval.start_time else None
                value = m.TypedValue.pb(series.points[0].value)
                self.series.setdefault(key, []).append(Stored(start, interval.end_time.timestamp(), value))
            self.refused += bad.values()
        return bad

    def _create_metric_descriptor(self, request: Any, context: Any) -> Any:
        wanted = request.metric_descriptor
        with self._turn:
            if why := problem_of_descriptor(wanted, self.descriptors):
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, why)
            self.descriptors[wanted.type] = metric_pb2.MetricDescriptor.FromString(wanted.SerializeToString())
        return wanted

    def _list_metric_descriptors(self, request: Any, context: Any) -> Any:
        return m.ListMetricDescriptorsResponse(metric_descriptors=list(self.descriptors.values()))

    def _methods(self) -> dict[str, dict[str, Any]]:
        own: Methods = {
            "CreateTimeSeries": (self._create_time_series, m.CreateTimeSeriesRequest, None),
            "CreateMetricDescriptor": (self._create_metric_descriptor, m.CreateMetricDescriptorRequest, None),
            "ListMetricDescriptors": (
                self._list_metric_descriptors,
                m.ListMetricDescriptorsRequest,
                m.ListMetricDescriptorsResponse,
            ),
        }
        services: dict[str, Methods] = {"google.monitoring.v3.MetricService": own, **self.plans.methods()}
        return {name: {of: _handler(*method) for of, method in methods.items()} for name, methods in services.items()}


def _handler(do: Callable[[Any, Any], Any], asked: Any, answered: Any) -> Any:
    """One method without generated stubs: proto-plus reads and writes its own messages, the others do it themselves."""
    write = answered.serialize if answered is not None else (lambda message: message.SerializeToString())
    return grpc.unary_unary_rpc_method_handler(do, request_deserializer=asked.deserialize, response_serializer=write)


def _refusal(bad: dict[int, str], sent: int, named: int) -> Any:
    """A partial write: the rest of the request is stored, and the summary says how much."""
    told = "; ".join(f"timeSeries[{n}]: {why}" for n, why in list(bad.items())[:named])
    code = code_pb2.INVALID_ARGUMENT
    error = m.CreateTimeSeriesSummary.Error(status=status_pb2.Status(code=code), point_count=len(bad))
    summary = m.CreateTimeSeriesSummary(total_point_count=sent, success_point_count=sent - len(bad), errors=[error])
    packed = any_pb2.Any()
    packed.Pack(m.CreateTimeSeriesSummary.pb(summary))
    return status_pb2.Status(code=code, message=f"One or more TimeSeries could not be written: {told}", details=[packed])
