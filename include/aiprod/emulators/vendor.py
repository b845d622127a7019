"""A paid video vendor as a local server that fails on order and keeps the books: `python -m aiprod.emulators.vendor`.

| request | answer |
|---|---|
| `POST /<backend>/renders` `{"prompt", "seconds", "marker"}`, header `Idempotency-Key` | `{"id"}`; the key where offered |
| `GET /<backend>/renders?marker=…` | `{"ids", "now"}` where a listing is offered |
| `GET /<backend>/renders/<id>` | `{"id", "status", "cost_micros"}` |
| `GET /<backend>/renders/<id>/file` | the file |
| `PUT /terms` | what it offers and asks for, and its clock; answered once nothing else is on the wire |
| `PUT /terms?at-once` | the same, without waiting |
| `PUT /rules` `{"<backend>": words}` | what is ordered for every request to a backend |
| `DELETE /renders` | it forgets everything but its books |

Other addresses belong to the vendors' own protocols where it was given any (`aiprod.emulators`).

What can be ordered to fail is in `aiprod.emulators.orders`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

from aiprod.emulators.books import Books
from aiprod.emulators.generic import Generic
from aiprod.emulators.house import Cut, House, Refused, Terms
from aiprod.emulators.orders import StrangeOrder
from aiprod.emulators.wire import Answer, Request, Wire

__all__ = ["VendorServer", "main"]

#: Longer than any request here takes; then `PUT /terms` gives up waiting for silence.
_SILENCE_SECONDS = 20.0


class VendorServer(ThreadingHTTPServer):
    """One vendor on loopback. `house` decides, the server carries."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, house: House, wires: Sequence[Wire] = ()) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.house = house
        self.generic = Generic(house)
        self.wires = wires
        self._wires: dict[int, tuple[socket.socket, bool]] = {}
        self._turn = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Note a connection before its thread starts, in the order in which they came."""
        self.note(request, busy=True)
        super().process_request(request, client_address)

    def note(self, wire: socket.socket, *, busy: bool | None) -> None:
        """Remember whether a connection is being answered; None: it is gone."""
        with self._turn:
            if busy is None:
                self._wires.pop(id(wire), None)
            else:
                self._wires[id(wire)] = (wire, busy)

    def fall_silent(self, own: socket.socket) -> bool:
        """Wait until every other connection was answered and has sent nothing new; late accepts do not count.

        A request that came before this call is booked when it returns: whoever jumps in time leaves nothing behind.
        """
        give_up = time.monotonic() + _SILENCE_SECONDS
        while time.monotonic() < give_up:
            with self._turn:
                others = [entry for key, entry in self._wires.items() if key != id(own)]
            busy = sum(1 for _, answering in others if answering)
            idle = [wire for wire, answering in others if not answering and wire.fileno() >= 0]
            try:
                unread = _readable(idle, 0)
            except (OSError, ValueError):
                continue
            if busy <= self.house.waiting and not unread:
                return True
            time.sleep(0.001)
        return False

    def server_close(self) -> None:
        """Stop listening, let nobody wait, and hang up on everybody."""
        super().server_close()
        self.house.close()
        with self._turn:
            wires = [wire for wire, _ in self._wires.values()]
        for wire in wires:
            with contextlib.suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no news."""


class _Handler(BaseHTTPRequestHandler):
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
        _readable([self.connection], None)
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
        parts = urlsplit(self.path)
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
                self._carry(b"")

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
        if urlsplit(self.path).path != "/renders":
            self._carry(b"")
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


def _readable(wires: Sequence[socket.socket], seconds: float | None) -> bool:
    """Whether anything came, or comes within some seconds; None: wait for it. For more wires than `select` can watch."""
    poll = select.poll()
    for wire in wires:
        poll.register(wire, select.POLLIN)
    return bool(poll.poll(None if seconds is None else seconds * 1_000))


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main(arguments: list[str] | None = None) -> None:
    """Serve until killed; print the port once it listens."""
    parser = argparse.ArgumentParser(
        prog="python -m aiprod.emulators.vendor", description="A paid video vendor that fails on order."
    )
    parser.add_argument("--port", type=int, default=0, help="0: any free one, printed")
    parser.add_argument("--books", type=Path, required=True, help="the file that only the vendor writes")
    parser.add_argument("--offer", action="append", default=[], metavar="BACKEND=key|list|none")
    parser.add_argument("--price", action="append", default=[], metavar="BACKEND=MICROS", help="micro-dollars per second")
    parser.add_argument("--listing-lag", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--leash", action="store_true", help="end when standard input does: with whoever started it")
    given = parser.parse_args(arguments)
    if given.leash:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    terms = Terms(
        offers=dict(pair.split("=", 1) for pair in given.offer),
        prices={name: int(price) for name, price in (pair.split("=", 1) for pair in given.price)},
        listing_lag=given.listing_lag,
    )
    with VendorServer(given.port, House(Books(given.books), terms)) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
