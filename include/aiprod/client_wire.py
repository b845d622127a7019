"""How the API is spoken to: one session, who asks, what is asked again, and what an answer that says no means."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import requests
from requests.auth import AuthBase

from aiprod.addresses import Address
from aiprod.errors import (
    AiprodError,
    ApiRefused,
    ApiUnreachable,
    ConfigError,
    JobConflict,
    JobMoved,
    JobUnknown,
    MoneyError,
    NotAMember,
    SamePerson,
    SpecError,
)

__all__ = ["Answer", "Credentials", "Wire", "path"]

#: Seconds until a connection stands, and between two bytes of an answer.
CONNECT, READ = 5.0, 60.0
#: Pauses before the second, third and fourth try, in seconds.
PAUSES = (0.5, 1.0, 2.0)
#: No server is waited for longer than this because it says so, in seconds.
_LONGEST_PAUSE = 30.0
_PASSING = (429, 502, 503, 504)
_MOUNT = "/aiprod"
#: What Airflow says of a token that it did not sign, or took back.
_INVALID = "Invalid JWT token"

#: The library's own errors by the last part of a problem's `type`: whoever asks over the API is refused in the same words.
_OWN: dict[str, Callable[[str], AiprodError]] = {
    "job-unknown": JobUnknown,
    "job-moved": JobMoved,
    "not-a-member": NotAMember,
    "same-person": SamePerson,
    "budget-exceeded": MoneyError,
    "purchasing-stopped": MoneyError,
    "stale-state": MoneyError,
}


@dataclass(frozen=True)
class Credentials:
    """Who asks: a token, or a user whose password is traded for one. Neither is ever shown."""

    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Answer:
    """What the API said: its status, its headers, and its JSON (None where there is none)."""

    status: int
    headers: Mapping[str, str]
    data: Any


class _Bearer(AuthBase):
    """A token on every request; that it is there keeps requests from looking into `.netrc`."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def path(*parts: str) -> str:
    """Return a path whose parts stay parts, whatever is in them."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


class Wire:
    """One AIPROD and who asks it.

    :param url: The api-server's address, such as `https://airflow.example.com`; one that ends with `/aiprod` is the same.
    :param read: Seconds between two bytes of an answer.
    :param sleep: Waits between two tries.
    """

    def __init__(
        self, url: str, credentials: Credentials, *, read: float = READ, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        try:
            address = Address.of(url)
        except ValueError as error:
            raise ConfigError(f"{url or 'the empty text'!r} is no address of an AIPROD: {error}") from None
        self.server = url.split("?")[0].rstrip("/").removesuffix(_MOUNT)
        # A proxy of the environment cannot reach this machine's own loopback.
        self._proxies = {"no_proxy": address.host} if _loopback(address.host) else {}
        self._credentials, self._read, self.sleep = credentials, read, sleep
        self._session = requests.Session()
        self._session.headers.update({"Accept-Encoding": "identity", "User-Agent": "aiprod"})
        self._token = credentials.token

    def __repr__(self) -> str:
        return f"Wire({self.server!r})"

    def close(self) -> None:
        """Give the connections back."""
        self._session.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Mapping[str, Any] | Sequence[tuple[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
        again: bool = False,
    ) -> Answer:
        """Return what the API says to one question; with `again` it is asked up to four times when no answer comes.

        Raises `ApiUnreachable`, and what the answer means: `SpecError`, `JobUnknown`, `JobMoved`, `ApiRefused`, ….
        """
        pauses = iter(PAUSES if again else ())
        while True:
            pause = next(pauses, None)
            try:
                with self._sent(method, path, json=body, params=params, headers=headers) as response:
                    if response.status_code not in _PASSING or pause is None:
                        return _answer(response, self.server)
                    wanted = response.headers.get("Retry-After", "")
                    pause = min(_LONGEST_PAUSE, max(pause, float(wanted))) if wanted.isdecimal() else pause
            except ApiUnreachable:
                if pause is None:
                    raise
            self.sleep(pause)

    @contextmanager
    def stream(self, path: str, *, headers: Mapping[str, str], read: float) -> Iterator[requests.Response]:
        """Open an answer that is read piece by piece. Raises as `ask`; closes the connection when left."""
        with self._sent("GET", path, headers=headers, stream=True, timeout=(CONNECT, read)) as response:
            if response.status_code >= 300:
                _answer(response, self.server)
            yield response

    @contextmanager
    def _sent(self, method: str, path: str, **words: Any) -> Iterator[requests.Response]:
        """Send one request, once more after logging in again when the token has run out."""
        if not self._token:
            self._token = self._log_in()
        response = self._send(method, f"{self.server}{_MOUNT}{path}", auth=_Bearer(self._token), **words)
        if _token_refused(response) and not self._credentials.token:
            response.close()
            self._token = self._log_in()
            response = self._send(method, f"{self.server}{_MOUNT}{path}", auth=_Bearer(self._token), **words)
        with response:
            yield response

    def _send(self, method: str, url: str, **words: Any) -> requests.Response:
        # Another host is never given our token: where a redirect leads, a person has to say.
        words = {"timeout": (CONNECT, self._read), "allow_redirects": False, "proxies": self._proxies, **words}
        try:
            return self._session.request(method, url, **words)
        except (requests.ConnectTimeout, requests.exceptions.SSLError, requests.exceptions.ProxyError) as error:
            raise ApiUnreachable(f"no AIPROD can be reached at {self.server}: {_why(error)}", sent=False) from None
        except requests.RequestException as error:
            refused = "NewConnectionError" in repr(error) or "NameResolutionError" in repr(error)
            if refused:
                raise ApiUnreachable(f"no server answers at {self.server}; is it running, and is this its address?") from None
            raise ApiUnreachable(f"no answer came from {self.server} ({_why(error)})", sent=method != "GET") from None

    def _log_in(self) -> str:
        """Return a token of Airflow's for the user, or the one it gives anybody where all are administrators."""
        who = self._credentials
        url = f"{self.server}/auth/token"
        body = {"username": who.user, "password": who.password}
        response = self._send("POST", url, json=body) if who.user else self._send("GET", url)
        with response:
            token = _json(response).get("access_token") if response.status_code in (200, 201) else None
        if not isinstance(token, str):
            name = f"does not let {who.user!r} in" if who.user else "wants to know who asks"
            raise ApiRefused(
                response.status_code,
                f"{self.server} {name}: set AIPROD_API_TOKEN, or AIPROD_API_USER and AIPROD_API_PASSWORD",
            )
        return token


def _token_refused(response: requests.Response) -> bool:
    """An expired token is 401; of one that another key signed (a server that was set up anew) Airflow says 403."""
    return response.status_code == 401 or (response.status_code == 403 and _INVALID in response.text)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _why(error: Exception) -> str:
    """The kind of a failure. Its own words may hold addresses, and with them what is secret."""
    return type(error).__name__


def _answer(response: requests.Response, server: str) -> Answer:
    """Return a good answer; raise what another one means."""
    status, kind = response.status_code, response.headers.get("Content-Type", "")
    if 300 <= status < 400 and status != 304:
        raise ApiRefused(status, f"{server} sends to {response.headers.get('Location', 'another address')}: ask there instead")
    if status < 400:
        if status in (204, 304) or not response.content:
            return Answer(status, response.headers, None)
        if "json" not in kind:
            raise ApiUnreachable(f"what answers at {server} is no AIPROD: is the plugin installed there?")
        return Answer(status, response.headers, _json(response))
    said = _json(response)
    if "problem+json" not in kind and status == 404:
        raise ApiUnreachable(f"what answers at {server} has no {_MOUNT}: is the plugin installed there?")
    raise _meaning(status, said)


def _meaning(status: int, said: Mapping[str, Any]) -> AiprodError:
    name = str(said.get("type", "")).rpartition(":")[2]
    detail = str(said.get("detail") or said.get("title") or "without a word why")
    errors = said.get("errors")
    lines = [
        f"{one['field']}: {one['message']}" if one.get("field") else str(one.get("message", ""))
        for one in (errors if isinstance(errors, list) else [])
        if isinstance(one, dict) and "message" in one
    ]
    if name == "job-conflict":
        return JobConflict(lines or [detail])
    if status == 422:
        return SpecError(lines or [detail])
    if name in _OWN:
        return _OWN[name](detail)
    if status == 401 or _INVALID in detail:
        detail = f"the token is not taken ({detail}): get a new AIPROD_API_TOKEN"
    return ApiRefused(status, detail)


def _json(response: requests.Response) -> dict[str, Any]:
    try:
        said = response.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {"items": said}
