"""The bytes at an address that somebody else chose: from public hosts only, and bounded in every way.

Spoken through httpcore rather than httpx: it knows no proxies, cookies, redirects or content encodings that would have to
be turned off, it lets us connect to the very IP address that was checked, and it does not log addresses (they are signed).
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urljoin

import httpcore

from aiprod.addresses import Address, is_public, public_https
from aiprod.errors import FailureKind

__all__ = ["INTERNET", "Limits", "Network", "Trouble", "body", "certificates", "post"]

_REDIRECTS = 3
#: How many of a name's addresses are tried.
_ADDRESSES = 4
_GONE = (403, 404, 410)
_MOVED = (301, 302, 303, 307, 308)
_NETWORK_ERRORS = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)


@dataclass(frozen=True)
class Limits:
    """What one download may take: bytes, seconds in all and in silence, and bytes per second once `grace` seconds passed."""

    bytes: int
    seconds: float
    silence: float = 30.0
    connect: float = 10.0
    grace: float = 30.0
    least_speed: int = 16 * 1024


def _looked_up(host: str, port: int) -> list[str]:
    """The IP addresses of a name. How long that may take is the resolver's own limit."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@cache
def certificates() -> ssl.SSLContext:
    """The usual authorities, read once per process."""
    return httpcore.default_ssl_context()


@dataclass(frozen=True)
class Network:
    """How the world is reached: names, wires, certificates and time. Tests bring their own."""

    resolve: Callable[[str, int], Sequence[str]] = _looked_up
    wires: httpcore.NetworkBackend = field(default_factory=httpcore.SyncBackend)
    trust: Callable[[], ssl.SSLContext] = certificates
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep

    def addresses(self, host: str, port: int) -> Sequence[str]:
        """The IP addresses of a name. Raises `httpcore.ConnectError`."""
        try:
            return self.resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"the name cannot be resolved ({error})") from None

    def connected(self, addresses: Sequence[str], port: int, patience: Callable[[], float]) -> httpcore.NetworkStream:
        """A wire to the first of some addresses that answers, `patience` seconds for each. Raises why the last did not."""
        problem: Exception = httpcore.ConnectError("the name has no address")
        for ip in addresses[:_ADDRESSES]:
            try:
                return self.wires.connect_tcp(ip, port, patience())
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
        raise problem


INTERNET = Network()


class Trouble(Exception):
    """Why there is no file. Says the host and never the whole address, which may be signed."""

    def __init__(self, message: str, kind: FailureKind) -> None:
        self.kind = kind
        super().__init__(message)


def body(
    url: str, *, own: Collection[str], headers: Mapping[str, str], limits: Limits, network: Network
) -> Generator[bytes, None, None]:
    """Yield what is at `url`, after at most three redirects, each checked anew. Raises `Trouble` and nothing else.

    `own` are the origins (`scheme://host:port`) that the operator configured: only they may be http or not public, and only
    until a redirect leads elsewhere. `headers` go to the origin of `url`; the first redirect that leaves it drops them.
    """
    ends = network.clock() + limits.seconds
    address = _checked(url, own)
    for _ in range(_REDIRECTS + 1):
        if not address.of_origin(own):
            # Whoever led us out of the operator's own origins does not lead us back in.
            own = ()
        wires = _Wires(network, limits, ends, local=bool(own))
        try:
            with (
                httpcore.ConnectionPool(ssl_context=network.trust(), network_backend=wires) as pool,
                pool.stream("GET", _url(address), headers=_sent(address, headers), extensions=_patience(limits)) as answer,
            ):
                if answer.status not in _MOVED:
                    _must_be_a_file(answer, address)
                    yield from _measured(answer.iter_stream(), address, limits, network.clock)
                    return
                onward = _header(answer, b"location")
        except _NETWORK_ERRORS as error:
            # What is wrong with our own request may quote it, credentials and all.
            said = "" if isinstance(error, httpcore.LocalProtocolError) else f": {error}"[:200]
            raise Trouble(f"{address.host}: {type(error).__name__}{said}", FailureKind.TRANSIENT) from None
        left, address = address, _checked(onward, own, since=address)
        headers = headers if address.origin == left.origin else {}
    raise Trouble(f"more than {_REDIRECTS} redirects, the last to {address.host}", FailureKind.VENDOR_INTERNAL)


def post(url: str, data: bytes, *, own: Collection[str], headers: Mapping[str, str], limits: Limits, network: Network) -> int:
    """Send `data` once, and return the status of the answer; no redirect is followed and the answer's body is not read.

    `own` are origins that may be http or not public: for an emulator. Raises `Trouble` and nothing else.
    """
    address = _checked(url, own)
    wires = _Wires(network, limits, network.clock() + limits.seconds, local=address.of_origin(own))
    sent = [*_sent(address, headers), ("Content-Length", str(len(data)))]
    try:
        with (
            httpcore.ConnectionPool(ssl_context=network.trust(), network_backend=wires) as pool,
            pool.stream("POST", _url(address), headers=sent, content=data, extensions=_patience(limits)) as answer,
        ):
            return answer.status
    except _NETWORK_ERRORS as error:
        said = "" if isinstance(error, httpcore.LocalProtocolError) else f": {error}"[:200]
        raise Trouble(f"{address.host}: {type(error).__name__}{said}", FailureKind.TRANSIENT) from None


def _checked(url: str, own: Collection[str], since: Address | None = None) -> Address:
    """Where an address leads, seen from the one that named it."""
    try:
        whole = urljoin(f"{since.origin}{since.target}", url) if since else url
        address = Address.of(whole)
        if not address.of_origin(own):
            public_https(whole)
    except ValueError as error:
        raise Trouble(f"refused to follow an address: {error}", FailureKind.INVALID_INPUT) from None
    return address


def _url(address: Address) -> httpcore.URL:
    return httpcore.URL(
        scheme=address.scheme.encode(), host=address.host.encode(), port=address.port, target=address.target.encode()
    )


def _sent(address: Address, headers: Mapping[str, str]) -> list[tuple[bytes | str, bytes | str]]:
    port = "" if (address.scheme, address.port) in (("https", 443), ("http", 80)) else f":{address.port}"
    plain = {"Host": f"{address.bracketed}{port}", "Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "aiprod"}
    return [*plain.items(), *headers.items()]


def _patience(limits: Limits) -> dict[str, Any]:
    silence = limits.silence
    return {"timeout": {"connect": limits.connect, "read": silence, "write": silence, "pool": silence}}


def _header(answer: httpcore.Response, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in answer.headers if key.lower() == name), "")


def _must_be_a_file(answer: httpcore.Response, address: Address) -> None:
    status = answer.status
    said = f"{address.host} answered HTTP {status}"
    if status in _GONE:
        raise Trouble(said, FailureKind.GONE)
    if status in (408, 425, 429) or status >= 500:
        raise Trouble(said, FailureKind.TRANSIENT)
    if status == 401:
        raise Trouble(said, FailureKind.AUTH)
    if status != 200:
        raise Trouble(said, FailureKind.VENDOR_INTERNAL)
    encoding = _header(answer, b"content-encoding")
    if encoding.strip().lower() not in ("", "identity"):
        # Nothing is ever unpacked, so a small file that unpacks to a terabyte is just a small file.
        raise Trouble(f"{address.host} packed the file as {encoding[:20]!r}", FailureKind.VENDOR_INTERNAL)


def _measured(chunks: Iterable[bytes], address: Address, limits: Limits, clock: Callable[[], float]) -> Iterator[bytes]:
    """Pass chunks on while they are few enough and come fast enough, whatever length was announced."""
    began, size = clock(), 0
    for chunk in chunks:
        size += len(chunk)
        if size > limits.bytes:
            raise Trouble(f"{address.host} sends more than {limits.bytes:,} bytes", FailureKind.VENDOR_INTERNAL)
        passed = clock() - began
        if passed > limits.grace and size < limits.least_speed * passed:
            raise Trouble(f"{address.host} sends fewer than {limits.least_speed:,} bytes a second", FailureKind.TRANSIENT)
        yield chunk


class _Wires(httpcore.NetworkBackend):
    """Connects to an address that was checked, never to a name: what resolves to another place a moment later cannot matter."""

    def __init__(self, network: Network, limits: Limits, ends: float, *, local: bool) -> None:
        self._network = network
        self._limits = limits
        self._ends = ends
        self._local = local

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None, socket_options: Any = None
    ) -> httpcore.NetworkStream:
        addresses = self._network.addresses(host, port)
        inside = [ip for ip in addresses if not is_public(ip)]
        if inside and not self._local:
            raise Trouble(f"refused: {host} leads to {inside[0]}, which is not public", FailureKind.INVALID_INPUT)
        return _Wire(self._network.connected(addresses, port, lambda: self.patience(timeout)), self.patience)

    def patience(self, timeout: float | None) -> float:
        """How long the next step may take. Raises when the time for all of them is over."""
        left = self._ends - self._network.clock()
        if left <= 0:
            raise httpcore.ReadTimeout(f"not here within {self._limits.seconds:g} s")
        return min(left, self._limits.silence if timeout is None else timeout)


class _Wire(httpcore.NetworkStream):
    """A connection on which no step outlasts the time for all of them, headers that trickle in included."""

    def __init__(self, wire: httpcore.NetworkStream, patience: Callable[[float | None], float]) -> None:
        self._wire = wire
        self._patience = patience

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._wire.read(max_bytes, self._patience(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._wire.write(buffer, self._patience(timeout))

    def close(self) -> None:
        self._wire.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Wire(self._wire.start_tls(ssl_context, server_hostname, self._patience(timeout)), self._patience)

    def get_extra_info(self, info: str) -> Any:
        return self._wire.get_extra_info(info)
