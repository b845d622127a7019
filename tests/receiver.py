"""A receiver of webhooks on this machine: keeps what it was sent, checks every signature by itself, answers as it is told."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["SECRET", "Receiver", "receiving"]

KEY = b"a receiver and we know this key."
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


class Receiver:
    """`answers` are statuses given in turn, then 204 for ever; `heard` is set by the first message."""

    def __init__(self, origin: str) -> None:
        self.origin, self.answers = origin, list[int]()
        self.ids, self.bodies, self.headers = list[str](), list[dict[str, Any]](), list[dict[str, str]]()
        self.paths = list[str]()
        self.heard = threading.Event()
        self.lock = threading.Lock()

    def took(self, path: str, headers: dict[str, str], body: bytes) -> int:
        assert headers["content-type"] == "application/json"
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        right = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
        with self.lock:
            self.paths.append(path)
            if f"v1,{right}" not in headers["webhook-signature"].split(" "):
                return 401
            status = self.answers.pop(0) if self.answers else 204
            self.ids.append(headers["webhook-id"])
            self.headers.append(headers)
            self.bodies.append(json.loads(body))
            self.heard.set()
            return status

    @property
    def told(self) -> list[str]:
        """The type of every message, in their order."""
        return [body["type"] for body in self.bodies]


@contextmanager
def receiving() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = receiver.took(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("location", f"{receiver.origin}/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield receiver
    server.shutdown()
    thread.join()
    server.server_close()
