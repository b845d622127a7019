"""A paid vendor of OpenAI's `/v1/videos` protocol: books what it accepts, and loses answers on order. Standard library only."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Vendor"]


class Vendor:
    """`with Vendor(lose=1) as vendor`: the first answers are lost after the request was booked; the rest are good."""

    def __init__(self, *, lose: int = 0, patience: float = 0.0) -> None:
        self.accepted: list[str] = []
        self._lose, self._lock = lose, threading.Lock()
        self._patience = threading.Event(), patience
        handler = type("Handler", (_Handler,), {"vendor": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def accept(self) -> str | None:
        """Book a render; return its id, or nothing when its answer is to be lost."""
        with self._lock:
            self.accepted.append(f"video_{len(self.accepted) + 1}")
            name = self.accepted[-1]
            lost = len(self.accepted) <= self._lose
        # What a vendor takes to say yes; without it no two callers are ever at it at once.
        ended, seconds = self._patience
        ended.wait(seconds)
        return None if lost else name

    def __enter__(self) -> Vendor:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._patience[0].set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    vendor: Vendor

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        name = self.vendor.accept()
        if name is None:
            self.close_connection = True
        else:
            self._say(_video(name, "queued"))

    def do_GET(self) -> None:
        self._say(_video(self.path.rpartition("/")[2], "completed"))

    def _say(self, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


def _video(name: str, status: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "video",
        "model": "sora-2",
        "status": status,
        "progress": 100 if status == "completed" else 0,
        "created_at": 1_790_000_000,
        "seconds": "4",
        "size": "720x1280",
    }
