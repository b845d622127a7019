"""One question to Replicate's API and its answer: bounded in time and size, and without the token in any error."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from aiprod.addresses import Address
from aiprod.backends.reaching import certificates
from aiprod.errors import BackendError, FailureKind

__all__ = ["Answer", "NotSent", "Silence", "Wire"]

#: A hundred renders with their logs.
_MOST_BYTES = 64 << 20
_CONNECT = 5.0
#: What goes wrong before the first byte of a request has left.
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.LocalProtocolError)


class Silence(Exception):
    """There was no answer, or none that could be read; the message says why."""


class NotSent(Silence):
    """And the request never left."""


@dataclass(frozen=True)
class Answer:
    """What the vendor said. `row` is the JSON object of the body, None where the body is anything else."""

    status: int
    headers: Mapping[str, str]
    row: dict[str, Any] | None

    @property
    def detail(self) -> str:
        """The vendor's own sentence about an error."""
        row = self.row or {}
        return str(row.get("detail") or row.get("error") or row.get("title") or "")


@dataclass(frozen=True)
class Wire:
    """The API at one address, for one token. Printing it does not show the token.

    Raises `BackendError` (`auth`) where address or token cannot be ones.
    """

    base: str
    token: str = field(repr=False)
    transport: httpx.BaseTransport | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[!-~]+", self.token):
            self._wrong("REPLICATE_API_TOKEN is not set, or is no token")
        try:
            Address.of(self.base)
        except ValueError:
            self._wrong("REPLICATE_BASE_URL is no http(s) address")

    @property
    def origin(self) -> str:
        return Address.of(self.base).origin

    @property
    def credentials(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def address(self, path: str) -> str:
        """Where a path, or an address that the vendor named, leads. Raises `Silence` when it is not the vendor's own."""
        if path.startswith("/"):
            return self.base.rstrip("/") + path
        try:
            ours = Address.of(path).origin == self.origin
        except ValueError:
            ours = False
        if not ours:
            raise Silence("the answer leads to another host")
        return path

    def ask(
        self, method: str, path: str, seconds: float, *, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request, once, and return what came back within `seconds`.

        Raises `NotSent` when the request cannot have left, `Silence` when it may have.
        """
        ends = time.monotonic() + seconds
        problem: Silence
        try:
            with (
                httpx.Client(**self._client(seconds)) as http,
                http.stream(method, self.address(path), json=body, headers={**self._headers, **(headers or {})}) as answer,
            ):
                data = bytearray()
                for chunk in answer.iter_bytes():
                    data += chunk
                    if len(data) > _MOST_BYTES or time.monotonic() > ends:
                        raise Silence("its answer is too long, or comes too slowly")
                return _answer(answer, data)
        except httpx.HTTPError as error:
            problem = _trouble(error)
        # Out here, so that it does not carry the error of before, which knows the request and the token in it.
        raise problem

    async def ask_soon(self, http: httpx.AsyncClient, path: str, seconds: float) -> Answer:
        """GET on the caller's event loop and connections. Raises `Silence`."""
        problem: Silence
        try:
            answer = await http.get(self.address(path), headers=self._headers, timeout=_patience(seconds), follow_redirects=False)
            return _answer(answer, answer.content)
        except httpx.HTTPError as error:
            problem = _trouble(error)
        raise problem

    @property
    def _headers(self) -> dict[str, str]:
        return {**self.credentials, "Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "aiprod"}

    def _client(self, seconds: float) -> dict[str, Any]:
        """No proxies or passwords of the environment, no redirects, and (httpx's default) no retries."""
        wire: dict[str, Any] = {"transport": self.transport} if self.transport else {"verify": certificates()}
        return {**wire, "trust_env": False, "follow_redirects": False, "timeout": _patience(seconds)}

    def _wrong(self, why: str) -> None:
        raise BackendError(why, kind=FailureKind.AUTH, money_moved="maybe")


def _patience(seconds: float) -> httpx.Timeout:
    """Seconds for connecting, for TLS, for sending and for waiting that are no more than `seconds` together."""
    step = max(0.001, min(_CONNECT, seconds / 6))
    return httpx.Timeout(connect=step, write=step, pool=step, read=max(0.001, seconds - 4 * step))


def _answer(answer: httpx.Response, data: bytes | bytearray) -> Answer:
    try:
        row = json.loads(data)
    except (ValueError, RecursionError):
        row = None
    return Answer(answer.status_code, dict(answer.headers), row if isinstance(row, dict) else None)


def _trouble(error: httpx.HTTPError) -> Silence:
    # What is wrong with our own request may quote it, token and all.
    said = "" if isinstance(error, httpx.LocalProtocolError) else f": {error}"[:200]
    kind = NotSent if isinstance(error, _NEVER_LEFT) else Silence
    return kind(f"{type(error).__name__}{said}")
