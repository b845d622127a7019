"""A Google Sheet as a source of rows, read through the values API with the Google connection's identity."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx

from aiprod.backends.calling import OneCall
from aiprod.backends.google_access import KEY, GoogleAccess
from aiprod.backends.keys import keys_of
from aiprod.backends.reaching import INTERNET, Network
from aiprod.bulk.rows import Table, from_values
from aiprod.errors import BackendError, FailureKind, SpecError, StorageError

__all__ = ["Sheet", "is_sheet"]

#: The narrowest scope that can read a sheet: that of Vertex cannot.
SCOPE = "https://www.googleapis.com/auth/spreadsheets.readonly"
_API = "https://sheets.googleapis.com"
_SECONDS = 30.0
_MOST_BYTES = 50_000_000
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_PAGE = re.compile(r"https://docs\.google\.com/spreadsheets/d/([\w-]{20,100})(?:[/?#].*)?")


def is_sheet(address: str) -> bool:
    """Whether an address is that of a Google Sheet's page."""
    return address.startswith("https://docs.google.com/spreadsheets/")


class Sheet:
    """One tab of a spreadsheet: the one its address shows (`#gid=`), or the first."""

    def __init__(self, address: str, *, access: GoogleAccess | None = None, api: str = _API, network: Network = INTERNET) -> None:
        """Raises `SpecError` for an address that names no spreadsheet. Asks nobody yet."""
        found = _PAGE.fullmatch(address)
        if found is None:
            raise SpecError([f"source: {address[:200]!r} is not the address of a Google Sheet as a browser shows it"])
        self._id = found[1]
        self._tab = _tab(address)
        self._access = access
        self._api = api
        self._network = network

    def rows(self) -> Table:
        """Return its rows. Raises `SpecError` where nobody may read it, `StorageError` when it cannot be read now."""
        sheets = self._ask(f"/v4/spreadsheets/{self._id}", {"fields": "sheets.properties(sheetId,title)"}).get("sheets", [])
        known = {int(sheet["properties"].get("sheetId", 0)): str(sheet["properties"]["title"]) for sheet in sheets}
        if not known or (self._tab is not None and self._tab not in known):
            raise SpecError([f"source: the spreadsheet has no tab {self._tab if known else ''}".rstrip()])
        title = known[self._tab] if self._tab is not None else next(iter(known.values()))
        # A quoted title means all of its cells, whatever it is called: A1 is a name, too.
        everything = quote(f"'{title.replace(chr(39), chr(39) * 2)}'", safe="")
        # Unformatted, so that a number is a number and not what a locale makes of it.
        shown = {"majorDimension": "ROWS", "valueRenderOption": "UNFORMATTED_VALUE"}
        answer = self._ask(f"/v4/spreadsheets/{self._id}/values/{everything}", shown)
        return from_values(answer.get("values", []))

    def _ask(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        call = OneCall(_SECONDS, network=self._network, most_bytes=_MOST_BYTES)
        try:
            headers = self._identity().token(_SECONDS).headers
            with httpx.Client(transport=call, trust_env=False, follow_redirects=False) as http:
                answer = http.get(f"{self._api}{path}", params=query, headers=headers)
        except BackendError as error:
            if error.kind is FailureKind.AUTH:
                raise SpecError([f"source: {error}"]) from None
            raise StorageError(f"The sheet cannot be read now: {error}") from None
        except httpx.HTTPError as error:
            raise StorageError(f"The sheet cannot be read now: {type(error).__name__}") from None
        if answer.status_code in _BUSY:
            raise StorageError(f"The sheet cannot be read now: HTTP {answer.status_code}")
        if answer.status_code in (401, 403, 404):
            told = "share it with the service account's address, and enable the Google Sheets API in its project"
            raise SpecError([f"source: HTTP {answer.status_code}, this Google connection may not read the sheet: {told}"])
        if answer.status_code != 200:
            raise SpecError([f"source: the sheet was refused with HTTP {answer.status_code}"])
        found = answer.json()
        return found if isinstance(found, dict) else {}

    def _identity(self) -> GoogleAccess:
        """Who asks: the identity of the Google connection, with a scope of its own."""
        if self._access is None:
            key = keys_of("veo3", (KEY,), needs=(KEY,)).get(KEY, "")
            self._access = GoogleAccess(key, network=self._network, scope=SCOPE)
        return self._access


def _tab(address: str) -> int | None:
    parts = urlsplit(address)
    named = parse_qs(parts.fragment).get("gid") or parse_qs(parts.query).get("gid")
    return int(named[0]) if named and named[0].isdecimal() and len(named[0]) < 12 else None
