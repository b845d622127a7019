"""What a vendor's protocol is made of here: a request, an answer, and the wire that turns one into the other."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from aiprod.emulators.house import House, Refused

if TYPE_CHECKING:
    # It draws with PyAV, and a vendor without films starts without.
    from aiprod.emulators.film import Studio

__all__ = ["Answer", "Request", "Wire", "stamp"]


@dataclass(frozen=True)
class Request:
    """One request as it came. Header names are in lower case; `origin` is the address the client used, without a path."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    origin: str

    def json(self) -> dict[str, Any]:
        """Return the body. Raises `Refused` when it is no JSON object."""
        try:
            said = json.loads(self.body)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise Refused(400, "the body is no JSON object", reason="invalid")
        return said

    @property
    def bearer(self) -> str:
        """The token that came with it, or nothing."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""


@dataclass(frozen=True)
class Answer:
    """What goes back: JSON, or bytes. With `pour` the body comes piece by piece, `length` bytes if that is told."""

    status: int
    said: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    pour: Callable[[], Iterator[bytes]] | None = None
    length: int | None = None

    @property
    def content(self) -> bytes:
        if self.said is None:
            return b""
        return self.said if isinstance(self.said, bytes) else json.dumps(self.said).encode()


Route = Callable[[], Answer]


class Wire(ABC):
    """One vendor's protocol: finds the route, wants the key, and says refusals in the vendor's own words."""

    backend: ClassVar[str]

    def __init__(self, house: House, studio: Studio, key: str) -> None:
        self.house = house
        self.studio = studio
        self.key = key

    def answer(self, request: Request) -> Answer | None:
        """Return the answer, or None for an address that is not this vendor's. Raises `Cut`."""
        try:
            route = self.open_route(request)
            if route is None:
                route = self.route(request)
                if route is not None and not self.admits(request):
                    raise Refused(401, "unauthenticated", reason="auth")
            return None if route is None else route()
        except Refused as error:
            return self.refusal(error)

    def open_route(self, request: Request) -> Route | None:
        """Return what answers an address that needs no key."""
        return None

    @abstractmethod
    def route(self, request: Request) -> Route | None:
        """Return what answers a request, or None when the address is somebody else's."""

    @abstractmethod
    def refusal(self, error: Refused) -> Answer:
        """Say a refusal as this vendor does."""

    def admits(self, request: Request) -> bool:
        """Whether the request carries this vendor's key."""
        return request.bearer == self.key


def stamp(seconds: float, timespec: str = "milliseconds") -> str:
    """Return epoch seconds as vendors write a time: ISO 8601, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
