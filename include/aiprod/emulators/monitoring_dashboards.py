"""Cloud Monitoring's dashboards over HTTP on loopback: GET, POST and PATCH of one at a time."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiprod.emulators.monitoring_plans import Plans

__all__ = ["DashboardServer"]


class DashboardServer(ThreadingHTTPServer):
    """On a port of its own."""

    daemon_threads = True

    def __init__(self, plans: Plans, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.plans = plans


class _Handler(BaseHTTPRequestHandler):
    server: DashboardServer  # pyright: ignore[reportIncompatibleVariableOverride] - this server makes no other handler

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        status, said = self.server.plans.dashboard(self.command, self.path.removeprefix("/v1/").split("?")[0], body)
        text = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - the names that the library calls

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet."""
