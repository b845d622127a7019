"""Who we are at Google: a configured key, or what the machine has, becomes a token before anything is sent, in bounded time."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx

from aiprod.backends.calling import OneCall
from aiprod.backends.reaching import INTERNET, Network
from aiprod.errors import BackendError, FailureKind

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

__all__ = ["KEY", "GoogleAccess", "Token"]

#: A service account's key, as text.
KEY = "GOOGLE_CREDENTIALS_JSON"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_SILENCE = 10.0
#: A token server that says one of these may say something else a moment later.
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_MOST_SAID = 200


class Token(NamedTuple):
    """A bearer token, and whose quota it is to be used with where that is not the project's own."""

    value: str
    quota_project: str | None = None

    def __repr__(self) -> str:
        return "Token(…)"

    @property
    def headers(self) -> dict[str, str]:
        whose = {"x-goog-user-project": self.quota_project} if self.quota_project else {}
        return {"Authorization": f"Bearer {self.value}", **whose}


class GoogleAccess:
    """One identity for the life of an adapter. Nothing is read, and nobody asked, before a token is wanted."""

    def __init__(self, key: str = "", *, network: Network = INTERNET, scope: str = _SCOPE) -> None:
        """`key` is a service account's key as text; without one, the machine's application default credentials are used."""
        self._key = key
        self._network = network
        self._scope = scope
        self._credentials: Credentials | None = None
        self._turn = threading.Lock()

    def at_hand(self) -> Token | None:
        """Return the token of before while it is good for some minutes more. Asks nobody."""
        credentials = self._credentials
        if credentials is None or not credentials.valid:
            return None
        return Token(str(credentials.token), getattr(credentials, "quota_project_id", None))

    def token(self, seconds: float) -> Token:
        """Return a good token, fetched within `seconds` if need be.

        Raises `BackendError`, `auth` or `transient`; nothing was sent to any vendor then, and no money moved.
        """
        ends = self._network.clock() + seconds
        if not self._turn.acquire(timeout=max(0.0, seconds)):
            raise _failure("no token: somebody else waits for one", FailureKind.TRANSIENT)
        try:
            credentials = self._refreshed(ends)
        finally:
            self._turn.release()
        found = str(credentials.token or "")
        # Anything else could not be sent as a header.
        if not re.fullmatch(r"[!-~]+", found):
            raise _failure("what was given as a token is none", FailureKind.AUTH)
        return Token(found, getattr(credentials, "quota_project_id", None))

    def _refreshed(self, ends: float) -> Credentials:
        from google.auth import exceptions

        errand: Any = _Errand(self._network, ends)
        try:
            if self._credentials is None:
                self._credentials = self._loaded(errand)
            if not self._credentials.valid:
                self._credentials.refresh(errand)
            return self._credentials
        except exceptions.TransportError as error:
            raise _failure(f"no token: {error}", FailureKind.TRANSIENT) from None
        except exceptions.GoogleAuthError as error:
            passing = error.retryable or isinstance(error.__cause__, exceptions.TransportError)
            kind = FailureKind.TRANSIENT if passing else FailureKind.AUTH
            raise _failure(f"no token: {error.args[0] if error.args else ''}", kind) from None
        # A key that cannot be read fails as it likes, and its own words may quote it.
        except Exception as error:  # noqa: BLE001
            where = KEY if self._key else "what GOOGLE_APPLICATION_CREDENTIALS names"
            raise _failure(f"{where} is no key that can be used ({type(error).__name__})", FailureKind.AUTH) from None

    def _loaded(self, errand: Any) -> Credentials:
        if self._key:
            from google.oauth2 import service_account

            key: Credentials = service_account.Credentials.from_service_account_info(json.loads(self._key), scopes=[self._scope])
            return key
        import google.auth

        return google.auth.default(scopes=[self._scope], request=errand)[0]


class _Reply(NamedTuple):
    """An answer in the shape that google-auth reads."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class _Errand:
    """The requests google-auth makes for a token, through our own client: no proxies, no second tries, one deadline for all.

    What google-auth would try again after a pause of its own is told to it as a broken connection, which it passes on.
    """

    def __init__(self, network: Network, ends: float) -> None:
        self._network = network
        self._ends = ends

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> _Reply:
        from google.auth.exceptions import TransportError

        left = self._ends - self._network.clock()
        if left <= 0:
            raise TransportError("the time for it is over")
        call = OneCall(min(left, timeout or _SILENCE), network=self._network)
        try:
            with httpx.Client(transport=call, trust_env=False, follow_redirects=False) as http:
                answer = http.request(method, url, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TransportError(type(error).__name__) from None
        if answer.status_code in _BUSY:
            raise TransportError(f"HTTP {answer.status_code}")
        return _Reply(answer.status_code, answer.headers, answer.content)


def _failure(message: str, kind: FailureKind) -> BackendError:
    """In a few words, and none that could be a token or a part of a key."""
    said = re.sub(r"[\w.+=-]{40,}", "…", " ".join(message.split()))[:_MOST_SAID]
    return BackendError(f"Google credentials: {said}", kind=kind, money_moved="no")
