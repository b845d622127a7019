"""An OpenTelemetry collector on this machine: keeps what it is told, and answers as it is told to."""

from __future__ import annotations

import gzip
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

__all__ = ["Collector"]


class Collector(ThreadingHTTPServer):
    """Keeps what it is told; answers as the test wants."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[tuple[int, bytes]] = []
        self.got: list[ExportMetricsServiceRequest] = []
        self.headers: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def names(self) -> set[str]:
        """Every metric that anybody told of."""
        scopes = (s for told in self.got for r in told.resource_metrics for s in r.scope_metrics)
        return {metric.name for scope in scopes for metric in scope.metrics}

    def last(self, name: str) -> list[object]:
        metrics = [m for r in reversed(self.got) for m in r.resource_metrics[0].scope_metrics[0].metrics if m.name == name]
        data = getattr(metrics[0], metrics[0].WhichOneof("data"))
        return list(data.data_points)


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
        status, said = self.server.answers.pop(0) if self.server.answers else (200, b"")
        self.server.headers = {name.lower(): value for name, value in self.headers.items()} | {"path": self.path}
        if status == 200:
            self.server.got.append(ExportMetricsServiceRequest.FromString(body))
        self.send_response(status)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:
        pass
