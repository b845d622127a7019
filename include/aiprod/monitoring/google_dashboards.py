"""The dashboard in Cloud Monitoring, over HTTP: its client library is one that nothing else here needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeVar

import httpx

from aiprod import settings
from aiprod.backends.calling import OneCall
from aiprod.errors import ConfigError
from aiprod.metrics.google_client import Account

__all__ = ["Dashboards"]

_GOOGLES = "https://monitoring.googleapis.com"
_ID = "aiprod"
_T = TypeVar("_T")


class Dashboards:
    """One dashboard, under an id of our own."""

    def __init__(self, account: Account, seconds: float) -> None:
        self._account, self._seconds = account, seconds

    def brought_up(
        self, wanted: dict[str, Any], differs: Callable[[str, str, Literal["missing", "differs"]], _T]
    ) -> Iterator[_T]:
        """Create it or update it where its label says that it is another version; yield what differed, before it is changed.

        Whether that is wanted is the word of the `done` of what `differs` returns.
        """
        parent = f"projects/{self._account.project}/dashboards"
        name = f"{parent}/{_ID}"
        there = self._asked("GET", name)
        if there is not None and there.get("labels") == wanted["labels"]:
            return
        told = differs("dashboard", _ID, "missing" if there is None else "differs")
        yield told
        if not getattr(told, "done", False):
            return
        if there is None:
            self._asked("POST", parent, {**wanted, "name": name})
        else:
            # The mark of the version that was looked at: whoever changed it meanwhile is not overwritten.
            self._asked("PATCH", name, {**wanted, "name": name, "etag": there.get("etag", "")})

    def _asked(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """Ask once; None for what is not there. Raises `ConfigError` for a refusal or silence, `BackendError` without a token."""
        home = settings.gcm_dashboards()
        token = None if home is not None else self._account.token(self._seconds)
        headers = token.headers if token is not None else {}
        try:
            with httpx.Client(transport=OneCall(self._seconds), trust_env=False, follow_redirects=False) as http:
                answer = http.request(method, f"{home or _GOOGLES}/v1/{path}", json=body, headers=headers)
                said: Any = answer.json() if answer.content else {}
        except (httpx.HTTPError, ValueError) as error:
            raise ConfigError(f"Cloud Monitoring's dashboards: no answer ({type(error).__name__})") from None
        if answer.status_code == 404 and method == "GET":
            return None
        if answer.status_code != 200 or not isinstance(said, dict):
            raise ConfigError(f"Cloud Monitoring's dashboards: HTTP {answer.status_code} to {method}")
        return said
