"""Questions to Runway through its own SDK: each asked once, in time, and without the key in any error."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import httpx

from aiprod.addresses import Address
from aiprod.backends.calling import OneCall
from aiprod.backends.reaching import INTERNET, Network
from aiprod.errors import BackendError, FailureKind

if TYPE_CHECKING:
    from runwayml import AsyncRunwayML, RunwayML

__all__ = ["HOME", "Answer", "NotSent", "Silence", "Wire"]

HOME = "https://api.dev.runwayml.com"


class Silence(Exception):
    """There was no answer, or none that could be read; the message says why."""

    def __init__(self, message: str, kind: FailureKind) -> None:
        self.kind = kind
        super().__init__(message)


class NotSent(Silence):
    """And nothing of the request has left."""


@dataclass(frozen=True)
class Answer:
    """What the vendor said. `row` is the JSON object of the body, empty where the body is anything else."""

    status: int
    headers: Mapping[str, str]
    row: Mapping[str, Any]

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300

    @property
    def detail(self) -> str:
        """The vendor's own sentence about an error, with what it says of each field."""
        issues = self.row.get("issues")
        rows = [one for one in issues if isinstance(one, Mapping)] if isinstance(issues, list) else []
        fields = [f"{'.'.join(map(str, _list(one.get('path'))))} {one.get('message', '')}" for one in rows]
        return "; ".join([str(self.row.get("error", "no reason given")), *fields])


@dataclass(frozen=True)
class Wire:
    """The API at one address, for one key. Printing it does not show the key.

    Raises `BackendError` (`auth`) where address or key cannot be ones.
    """

    base: str
    key: str = field(repr=False)
    network: Network = field(default=INTERNET, repr=False)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[!-~]+", self.key):
            raise BackendError("RUNWAYML_API_SECRET is not set, or is no key", kind=FailureKind.AUTH, money_moved="no")
        try:
            Address.of(self.base)
        except ValueError:
            message = "RUNWAYML_BASE_URL is no http(s) address"
        else:
            return
        raise BackendError(message, kind=FailureKind.AUTH, money_moved="no")

    @property
    def own(self) -> tuple[str, ...]:
        """The origin that the operator chose instead of Runway's own, if any: files may come from there too."""
        return () if self.base == HOME else (Address.of(self.base).origin,)

    def ask(self, seconds: float, question: Callable[[RunwayML], Any]) -> Answer:
        """Ask one question, a call of the SDK's `with_raw_response`, once. Returns any answer, good or bad.

        Raises `NotSent` when nothing of it has left, `Silence` when it may have.
        """
        import runwayml

        call = OneCall(seconds, network=self.network)
        problem: Silence
        try:
            http = httpx.Client(transport=call, trust_env=False, follow_redirects=False, headers={"Accept-Encoding": "identity"})
            with runwayml.RunwayML(**self.settings(seconds), http_client=http) as client:
                told = question(client)
                return self._answer(told.status_code, told.headers, told.text())
        except runwayml.APIStatusError as error:
            return self._answer(error.status_code, error.response.headers, error.response.text)
        except Exception as error:  # noqa: BLE001 - the SDK checks and packs what it sends with much that may raise
            problem = (Silence if call.sent else NotSent)(*_why(error))
        # Out here, so that it does not carry the error of before, which knows the request and the key in it.
        raise problem

    async def ask_soon(self, http: httpx.AsyncClient, seconds: float, question: Callable[[AsyncRunwayML], Any]) -> Answer:
        """Ask one question that costs nothing on the caller's event loop and connections. Raises `Silence`."""
        if "runwayml" not in sys.modules:
            # Reading the SDK takes 0.3 s, in which no other render would be watched.
            await asyncio.to_thread(importlib.import_module, "runwayml")
        import runwayml

        problem: Silence
        try:
            async with asyncio.timeout(seconds):
                told = await question(_kept(self, http, seconds))
                return self._answer(told.status_code, told.headers, await told.text())
        except runwayml.APIStatusError as error:
            return self._answer(error.status_code, error.response.headers, error.response.text)
        except (runwayml.RunwayMLError, httpx.HTTPError, TimeoutError) as error:
            problem = Silence(*_why(error))
        raise problem

    def settings(self, seconds: float) -> dict[str, Any]:
        """Said in full: what the SDK is not told it reads from the environment, and by itself it sends three times."""
        return {"api_key": self.key, "base_url": self.base, "max_retries": 0, "timeout": seconds}

    def _answer(self, status: int, headers: Mapping[str, str], text: str) -> Answer:
        # Some vendors repeat the key that they refuse.
        text = text.replace(self.key, "[key]") if len(self.key) >= 8 else text
        try:
            row = json.loads(text)
        except (ValueError, RecursionError):
            row = None
        return Answer(status, {name.lower(): value for name, value in headers.items()}, row if isinstance(row, dict) else {})


@lru_cache(maxsize=4)
def _kept(wire: Wire, http: httpx.AsyncClient, seconds: float) -> AsyncRunwayML:
    """The SDK around one client: making it anew for each of a thousand renders would double what watching them costs."""
    import runwayml

    return runwayml.AsyncRunwayML(**wire.settings(seconds), http_client=http)


def _why(error: Exception) -> tuple[str, FailureKind]:
    """What went wrong, in words that are ours: what the SDK says may repeat the request."""
    cause = error.__cause__ if isinstance(error.__cause__, httpx.TransportError) else error
    late = isinstance(cause, TimeoutError | httpx.TimeoutException)
    said = str(cause)[:200] if isinstance(cause, httpx.TransportError) else type(cause).__name__
    return said or type(cause).__name__, FailureKind.TIMEOUT if late else FailureKind.TRANSIENT


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
