"""Web addresses that may be asked for, those that may not, and a world of hosts that live in memory."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import httpcore

from aiprod.backends.reaching import Network

GOOD_URLS = [
    "https://example.com/a.png",
    "https://cdn.example.com:8443/a.png?sig=%2F#x",
    "https://8.8.8.8/a.png",
    "https://[2606:4700::1111]/a.png",
    "https://münchen.example/a.png",
    "https://1password.com/a.png",
    "https://my_bucket.s3.amazonaws.com/a.png",
]
EVIL_URLS = [
    "http://example.com/a.png",
    "ftp://example.com/a",
    "file:///etc/passwd",
    "//example.com/a",
    "https:///a",
    "https://",
    "javascript:alert(1)",
    "https://user@example.com/",
    "https://user:pw@example.com/",
    "https://@example.com/",
    "https://example.com\\@127.0.0.1/",
    "https://example.com/\t",
    "https://127.0.0.1\n.example.com/",
    " https://example.com/",
    "https://localhost/",
    "https://LOCALHOST./",
    "https://a.localhost/",
    "https://localhost.localdomain/",
    "https://printer.local/",
    "https://metadata.google.internal/computeMetadata/v1/",
    "https://intranet/",
    "https://127.0.0.1/",
    "https://127.0.0.1./",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://１２７.０.０.１/",
    "https://127。0。0。1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[fd00:ec2::254]/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://0.0.0.0/",
    "https://255.255.255.255/",
    "https://224.0.0.1/",
    "https://240.0.0.1/",
    "https://[::1]/",
    "https://[::]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:a9fe:a9fe]/",
    "https://[::ffff:224.0.0.1]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[2002:7f00:1::]/",
    "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "https://[::1/",
    "https://a..b/",
    "https://example.com:99999/",
    "https://example.com:x/",
    "https://exa\x00mple.com/",
    "https://[::ffff:7f00:1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://0/",
    "https://0x0/",
    "https://127.0.1/",
    "https://0177.1/",
    "https://198.18.0.1/",
    "https://192.0.2.1/",
    "gopher://example.com/",
    "https://example.com/\r\nHost:127.0.0.1",
]


def answer(status: int, body: bytes = b"", **headers: str) -> list[bytes]:
    """What a host sends: a whole answer whose length is right unless the headers say otherwise."""
    named = {"content-length": str(len(body))} | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in named.items() if value), "", ""]
    return ["\r\n".join(lines).encode(), body] if body else ["\r\n".join(lines).encode()]


def silent(error: Exception) -> Iterator[bytes]:
    """A host that takes the request and then fails like this."""
    raise error
    yield b""


@dataclass(frozen=True)
class Sent:
    """One request as a host reads it; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, data: bytes) -> Sent:
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        named = (line.partition(": ") for line in lines)
        return cls(*first.split(" ")[:2], {name.lower(): value for name, _, value in named}, body)


class Wire(httpcore.NetworkStream):
    """One connection: notes what it is sent and hands out what the host sends, piece by piece."""

    def __init__(self, world: World, ip: str, port: int, pieces: Iterable[bytes]) -> None:
        self.world, self.ip, self.port, self.pieces = world, ip, port, iter(pieces)
        self.sent = b""
        self.certified = ""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.world.time += self.world.seconds_per_read
        assert timeout is not None
        return next(self.pieces, b"")

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        assert timeout is not None
        self.sent += buffer

    def close(self) -> None:
        self.pieces = iter(())

    def start_tls(self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None) -> Wire:
        self.certified = server_hostname or ""
        return self

    def get_extra_info(self, info: str) -> Any:
        return None


class World(httpcore.NetworkBackend):
    """Hosts by (IP address, port) with the answers they give, one per connection; names with the addresses they have had."""

    def __init__(self, hosts: dict[tuple[str, int], list[Iterable[bytes]]], names: dict[str, list[list[str]]]) -> None:
        self.hosts, self.names = hosts, names
        self.wires: list[Wire] = []
        self.asked: list[str] = []
        self.time = 0.0
        self.seconds_per_read = 0.0
        self.network = Network(resolve=self.resolve, wires=self, clock=lambda: self.time)

    @classmethod
    def of(cls, *answers: Iterable[bytes], host: str = "cdn.example") -> World:
        """One host that gives these answers in turn, and then refuses."""
        return cls({("93.184.216.34", 443): list(answers)}, {host: [["93.184.216.34"]]})

    def resolve(self, host: str, port: int) -> list[str]:
        """The next addresses of a name, the last ones for ever; an address is its own name."""
        self.asked.append(host)
        turns = self.names.get(host, [[host]])
        return turns.pop(0) if len(turns) > 1 else turns[0]

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None, socket_options: Any = None
    ) -> Wire:
        assert timeout is not None
        answers = self.hosts.get((host, port), [])
        if not answers:
            raise httpcore.ConnectError("connection refused")
        wire = Wire(self, host, port, answers.pop(0))
        self.wires.append(wire)
        return wire

    @property
    def heard(self) -> list[Sent]:
        """What was asked, in order, on whichever connection."""
        return [Sent.of(wire.sent) for wire in self.wires if wire.sent]

    @property
    def reached(self) -> list[tuple[str, int]]:
        return [(wire.ip, wire.port) for wire in self.wires]


def endless(piece: bytes) -> Iterator[bytes]:
    """A host that never stops sending."""
    yield b"HTTP/1.1 200 OK\r\n\r\n"
    while True:
        yield piece
