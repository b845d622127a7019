"""One request to a vendor, sent once and over in time, for an HTTP client that somebody else wrote."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx

from aiprod.backends.reaching import INTERNET, Network

__all__ = ["OneCall", "OneRequest"]

#: An answer that is longer is none, unless somebody expects more. Tasks and accounts are a few kilobytes.
_MOST_BYTES = 4 << 20
#: How long connecting to one of a host's addresses may take.
_CONNECT = 5.0
_NETWORK_ERRORS = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, httpcore.UnsupportedProtocol)


class OneCall(httpx.BaseTransport):
    """Carries one request at a time, over a connection of its own, and knows whether anything of it has left.

    A kept connection that the vendor closed meanwhile would look like a lost answer, and a lost answer parks money. From
    looking up the name to the last byte of the answer it takes `seconds` at most: what a client calls its timeout is one for
    each step, and an answer that trickles in has no end. Raises `httpx.TimeoutException` then, else another
    `httpx.TransportError`; no message of theirs repeats the request.
    """

    def __init__(self, seconds: float, *, network: Network = INTERNET, most_bytes: int = _MOST_BYTES) -> None:
        self._seconds = seconds
        self._network = network
        self._most_bytes = most_bytes
        self._wires: list[_Wires] = []

    @property
    def sent(self) -> bool:
        """Whether a byte of a request was handed to the network. While it was not, nobody can have accepted anything."""
        return any(wires.sent for wires in self._wires)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        problem: httpx.TransportError
        wires = _Wires(self._network, self._seconds)
        self._wires.append(wires)
        try:
            with (
                httpcore.ConnectionPool(ssl_context=self._network.trust(), network_backend=wires) as pool,
                pool.stream(request.method, _url(request.url), headers=request.headers.raw, content=request.read()) as answer,
            ):
                return httpx.Response(
                    answer.status, headers=answer.headers, content=_whole(answer.iter_stream(), self._most_bytes)
                )
        except _NETWORK_ERRORS as error:
            problem = _translated(error)
        # Out here, so that it does not carry the error of before.
        raise problem


class OneRequest(OneCall):
    """Lets nothing more through once something has left, however often an SDK may try."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.sent:
            raise httpx.ReadError("a second request was not sent")
        return super().handle_request(request)


class _Wires(httpcore.NetworkBackend):
    """Connects to the first of a host's addresses that answers, and holds the clock for all that follows."""

    def __init__(self, network: Network, seconds: float) -> None:
        self.sent = False
        self._network = network
        self._seconds = seconds
        self._ends = network.clock() + seconds

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None, socket_options: Any = None
    ) -> httpcore.NetworkStream:
        addresses = self._network.addresses(host, port)
        return _Wire(self._network.connected(addresses, port, lambda: min(_CONNECT, self.left())), self)

    def left(self) -> float:
        """How long the next step may take. Raises when the time for all of them is over."""
        rest = self._ends - self._network.clock()
        if rest <= 0:
            raise httpcore.ReadTimeout(f"not over within {self._seconds:g} s")
        return rest


class _Wire(httpcore.NetworkStream):
    """A connection on which no step outlasts the time for all of them, whatever it is asked for."""

    def __init__(self, wire: httpcore.NetworkStream, wires: _Wires) -> None:
        self._wire = wire
        self._wires = wires

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._wire.read(max_bytes, self._wires.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        seconds = self._wires.left()
        self._wires.sent = True
        self._wire.write(buffer, seconds)

    def close(self) -> None:
        self._wire.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        # The handshake is not counted as sent: nothing of the request is in it.
        return _Wire(self._wire.start_tls(ssl_context, server_hostname, self._wires.left()), self._wires)

    def get_extra_info(self, info: str) -> Any:
        return self._wire.get_extra_info(info)


def _url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def _whole(chunks: Iterable[bytes], most_bytes: int) -> bytes:
    pieces, size = [], 0
    for chunk in chunks:
        pieces.append(chunk)
        size += len(chunk)
        if size > most_bytes:
            raise httpcore.RemoteProtocolError(f"the answer is longer than {most_bytes:,} bytes")
    return b"".join(pieces)


def _translated(error: Exception) -> httpx.TransportError:
    # What is wrong with our own request may quote it, key and all.
    said = type(error).__name__ + ("" if isinstance(error, httpcore.LocalProtocolError) else f": {error}"[:200])
    return httpx.ReadTimeout(said) if isinstance(error, httpcore.TimeoutException) else httpx.ReadError(said)
