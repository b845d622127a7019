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
import os
import socket
import threading
import time
from collections.abc import Sequence
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiprod.emulators.books import Books
from aiprod.emulators.generic import Generic
from aiprod.emulators.handler import Handler, readable
from aiprod.emulators.house import House, Terms
from aiprod.emulators.wire import Wire

__all__ = ["VendorServer", "leashed", "main"]

#: Longer than any request here takes; then `PUT /terms` gives up waiting for silence.
_SILENCE_SECONDS = 20.0


class VendorServer(ThreadingHTTPServer):
    """One vendor, on loopback unless told otherwise. `house` decides, the server carries."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, house: House, wires: Sequence[Wire] = (), *, listen: str = "127.0.0.1") -> None:
        self.house = house
        self.generic = Generic(house)
        self.wires = wires
        self._wires: dict[int, tuple[socket.socket, bool]] = {}
        self._turn = threading.Lock()
        # Last: a port that is taken closes the server again.
        super().__init__((listen, port), Handler)

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
                unread = readable(idle, 0)
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


def leashed() -> None:
    """End this process when its standard input does: with whoever started it."""

    def end_with_it() -> None:
        # Not through `sys.stdin`: its lock would be waited for when the process ends by itself.
        while os.read(0, 4_096):
            pass
        os._exit(0)

    threading.Thread(target=end_with_it, daemon=True).start()


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
        leashed()
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
