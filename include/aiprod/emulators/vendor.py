"""A paid video vendor as a local server that fails on order and keeps the books: `python -m aiprod.emulators.vendor`.

| request | answer |
|---|---|
| `POST /<backend>/renders` `{"prompt", "seconds", "marker"}`, header `Idempotency-Key` | `{"id"}`; the key where offered |
| `GET /<backend>/renders?marker=…` | `{"ids", "now"}` where a listing is offered |
| `GET /<backend>/renders/<id>` | `{"id", "status", "cost_micros"}` |
| `GET /<backend>/renders/<id>/file` | the file |
| `PUT /terms` | what it offers and asks for, and its clock; answered once nothing else is on the wire |
| `PUT /terms?at-once` | the same, without waiting |
| `DELETE /renders` | it forgets everything but its books |

What can be ordered to fail is in `aiprod.emulators.house`.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from aiprod.emulators.books import Books
from aiprod.emulators.house import Cut, House, Refused, Terms

__all__ = ["VendorServer", "main"]

#: Longer than any request here takes; then `PUT /terms` gives up waiting for silence.
_SILENCE_SECONDS = 20.0


class VendorServer(ThreadingHTTPServer):
    """One vendor on loopback. `house` decides, the server carries."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, house: House) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.house = house
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
                unread = select.select(idle, [], [], 0)[0]
            except (OSError, ValueError):
                continue
            if busy <= self.house.waiting and not unread:
                return True
            time.sleep(0.001)
        return False

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
        select.select([self.connection], [], [])
        self.vendor.note(self.connection, busy=True)
        super().handle_one_request()

    def finish(self) -> None:
        self.vendor.note(self.connection, busy=None)
        super().finish()

    def do_POST(self) -> None:
        backend = self.path.strip("/").split("/")[0]
        body = self._body()
        if self.vendor.house.cut_before_reading(backend, str(body.get("prompt", ""))):
            self._cut()
            return
        key = self.headers.get("Idempotency-Key")
        self._answer(lambda: {"id": self.vendor.house.submit(backend, body, key)})

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        match parts.path.strip("/").split("/"):
            case [backend, "renders"]:
                marker = parse_qs(parts.query).get("marker", [""])[0]
                house = self.vendor.house
                self._answer(lambda: {"ids": house.listing(backend, marker), "now": house.now()})
            case [backend, "renders", vendor_id]:
                self._answer(lambda: self.vendor.house.status(backend, vendor_id))
            case [backend, "renders", vendor_id, "file"]:
                self._answer(lambda: self.vendor.house.file(backend, vendor_id))
            case _:
                self._send(404, {"error": "no such address"})

    def do_PUT(self) -> None:
        body = self._body()
        silent = urlsplit(self.path).query == "at-once" or self.vendor.fall_silent(self.connection)
        self.vendor.house.agree(Terms(**body))
        self._send(200 if silent else 500, {"now": self.vendor.house.now()})

    def do_DELETE(self) -> None:
        self.vendor.fall_silent(self.connection)
        self.vendor.house.forget()
        self._send(200, {})

    def _body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return body

    def _answer(self, work: Any) -> None:
        try:
            said = work()
        except Refused as error:
            self._send(error.status, {"error": str(error)})
        except Cut:
            self._cut()
        else:
            self._send(200, said)

    def _send(self, status: int, said: dict[str, Any] | bytes) -> None:
        content = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def _cut(self) -> None:
        """Close with a reset, as a machine that fell over does."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def log_message(self, format: str, *args: Any) -> None:
        """What happened is in the books."""


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
