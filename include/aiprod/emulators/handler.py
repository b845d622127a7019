"""One connection to the vendors: carries each request to whose address it is, and the answer back, or cuts."""

from __future__ import annotations

import json
import select
import socket
import struct
import traceback
from collections.abc import Callable, Iterator, Sequence
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

from aiprod.emulators.house import Cut, Refused, Terms
from aiprod.emulators.orders import StrangeOrder
from aiprod.emulators.wire import Answer, Request

if TYPE_CHECKING:
    from aiprod.emulators.vendor import VendorServer

__all__ = ["Handler", "readable"]


class Handler(BaseHTTPRequestHandler):
    """Requests of one client, one after the other."""

    protocol_version = "HTTP/1.1"
    # Header and body leave as one packet: with two, the client's delayed acknowledgement costs 40 ms.
    wbufsize = -1
    disable_nagle_algorithm = True

    @property
    def vendor(self) -> VendorServer:
        return cast("VendorServer", self.server)

    def handle_one_request(self) -> None:
        self.vendor.note(self.connection, busy=False)
        # Busy before the first byte is read: at any moment a request is either unread or being answered.
        readable([self.connection], None)
        self.vendor.note(self.connection, busy=True)
        super().handle_one_request()

    def finish(self) -> None:
        self.vendor.note(self.connection, busy=None)
        super().finish()

    def do_POST(self) -> None:
        body = self._body()
        match urlsplit(self.path).path.strip("/").split("/"):
            case [backend, "renders"]:
                key = self.headers.get("Idempotency-Key")
                self._answer(lambda: {"id": self.vendor.generic.submit(backend, json.loads(body), key)})
            case _:
                self._carry(body)

    def do_GET(self) -> None:
        # Read even where nobody looks at it: what stays on the wire would be taken for the next request.
        body, parts = self._body(), urlsplit(self.path)
        generic = self.vendor.generic
        match parts.path.strip("/").split("/"):
            case [backend, "renders"]:
                marker = parse_qs(parts.query).get("marker", [""])[0]
                self._answer(lambda: {"ids": generic.listing(backend, marker), "now": self.vendor.house.now()})
            case [backend, "renders", vendor_id]:
                self._answer(lambda: generic.status(backend, vendor_id))
            case [backend, "renders", vendor_id, "file"]:
                self._answer(lambda: generic.file(backend, vendor_id))
            case _:
                self._carry(body)

    def do_PUT(self) -> None:
        body = json.loads(self._body())
        house, silent = self.vendor.house, True
        match urlsplit(self.path).path:
            case "/terms":
                silent = urlsplit(self.path).query == "at-once" or self.vendor.fall_silent(self.connection)
                house.agree(Terms(**body))
            case "/rules":
                try:
                    for backend, words in body.items():
                        house.rule(backend, words)
                except StrangeOrder as error:
                    self._send(Answer(400, {"error": str(error)}))
                    return
            case _:
                self._send(Answer(404, {"error": "no such address"}))
                return
        self._send(Answer(200 if silent else 500, {"now": house.now()}))

    def do_DELETE(self) -> None:
        body = self._body()
        if urlsplit(self.path).path != "/renders":
            self._carry(body)
            return
        self.vendor.fall_silent(self.connection)
        self.vendor.house.forget()
        self._send(Answer(200, {}))

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, work: Callable[[], dict[str, Any] | bytes]) -> None:
        try:
            said = Answer(200, work())
        except Refused as error:
            said = Answer(error.status, {"error": str(error)})
        except Cut:
            self._cut()
            return
        self._send(said)

    def _carry(self, body: bytes) -> None:
        """Ask the vendors' own protocols, one after the other, whose address this is."""
        parts = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=unquote(parts.path),
            query={name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()},
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
            origin=f"http://{self.headers.get('Host', '127.0.0.1')}",
        )
        try:
            answer = next(filter(None, (wire.answer(request) for wire in self.vendor.wires)), None)
        except Cut:
            self._cut()
            return
        except Exception:  # noqa: BLE001 - a bug of ours must not pass for a fault that somebody ordered
            self.vendor.house.books.write("bug", path=parts.path, traceback=traceback.format_exc())
            answer = Answer(500, {"error": "a bug in the emulator; its books say where"})
        if answer is None:
            answer = Answer(404, {"error": "no such address"})
        if answer.status >= 400 and self.command == "POST":
            self.vendor.house.books.write("refused", status=answer.status, path=parts.path)
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        content = answer.content
        self.send_response_only(answer.status)
        self.send_header("Date", formatdate(self.vendor.house.now(), usegmt=True))
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        length = len(content) if answer.pour is None else answer.length
        if length is None:
            self.close_connection = True
            self.send_header("Connection", "close")
        elif answer.status != 204:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()
        if answer.pour is not None:
            self._pour(answer.pour, length)

    def _pour(self, pour: Callable[[], Iterator[bytes]], length: int | None) -> None:
        """Send a body piece by piece until it ends, the client hangs up, or the vendor closes."""
        sent = 0
        for piece in pour():
            self.wfile.write(piece)
            self.wfile.flush()
            sent += len(piece)
            if self.vendor.house.closed:
                break
        if length is None or sent < length:
            self.close_connection = True

    def _cut(self) -> None:
        """Close with a reset, as a machine that fell over does."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def log_message(self, format: str, *args: Any) -> None:
        """What happened is in the books."""


def readable(wires: Sequence[socket.socket], seconds: float | None) -> bool:
    """Whether anything came, or comes within some seconds; None: wait for it. For more wires than `select` can watch."""
    poll = select.poll()
    for wire in wires:
        poll.register(wire, select.POLLIN)
    return bool(poll.poll(None if seconds is None else seconds * 1_000))
