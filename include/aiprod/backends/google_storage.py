"""Cloud Storage as fetching and finding renders needs it: one folder's objects, one object, its bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import httpx

from aiprod.addresses import Address
from aiprod.backends.calling import OneCall
from aiprod.backends.download import download
from aiprod.backends.google_access import GoogleAccess
from aiprod.backends.reaching import INTERNET, Network
from aiprod.errors import BackendError, FailureKind

__all__ = ["Folder", "GoogleStorage", "Listing", "StoredAt"]

_HOME = "https://storage.googleapis.com"
_BUCKET = r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]"
_OBJECT = re.compile(rf"gs://({_BUCKET})/([^\x00-\x1f\x7f]{{1,1024}})")
_FOLDER = re.compile(rf"gs://({_BUCKET})(?:/([\w./-]*))?", re.A)
#: A purchase has one render, in the worst case a few.
_MAX_PAGES = 5
_SECONDS = 30.0
_KINDS = {
    401: FailureKind.AUTH,
    403: FailureKind.AUTH,
    404: FailureKind.GONE,
    408: FailureKind.TRANSIENT,
    429: FailureKind.RATE_LIMITED,
}


class Folder(NamedTuple):
    """A place for objects: `gs://bucket/prefix`. The prefix has no slash at either end and may be empty."""

    bucket: str
    prefix: str

    @classmethod
    def of(cls, address: str) -> Self:
        """Read a `gs://bucket/prefix`. Raises `ValueError`."""
        found = _FOLDER.fullmatch(address.strip())
        prefix = (found[2] or "").strip("/") if found else ""
        if found is None or any(part in ("", ".", "..") for part in prefix.split("/") if prefix):
            raise ValueError(f"must look like gs://bucket/prefix, not {address[:80]!r}")
        return cls(found[1], prefix)

    def within(self, name: str) -> Folder:
        """Return the folder of that name in this one."""
        return Folder(self.bucket, f"{self.prefix}/{name}".lstrip("/"))

    @property
    def address(self) -> str:
        """`gs://bucket/prefix/`: with the slash, so that `job-1` does not hold what is in `job-10`."""
        return f"gs://{self.bucket}/{self.prefix}/" if self.prefix else f"gs://{self.bucket}/"


class StoredAt(NamedTuple):
    """Where one object is."""

    bucket: str
    name: str

    @classmethod
    def of(cls, address: str) -> Self:
        """Read a `gs://bucket/object`. Raises `ValueError`."""
        found = _OBJECT.fullmatch(address)
        if found is None or found[2].endswith("/") or found[2] in (".", ".."):
            raise ValueError("is no gs:// address of an object")
        return cls(found[1], found[2])

    @property
    def path(self) -> str:
        return f"/storage/v1/b/{self.bucket}/o/{quote(self.name, safe='')}"


class Listing(NamedTuple):
    """What is in a folder. `at` is the store's own clock when it began to answer; `whole` whether everything was read."""

    videos: tuple[str, ...]
    empty: bool
    whole: bool
    at: datetime | None


@dataclass(frozen=True)
class GoogleStorage:
    """The JSON API, with our token, at Google's address or the one the operator named. `who` begins every message.

    Raises `BackendError`: `gone` where there is no such bucket or object, `auth` where we may not look.
    """

    access: GoogleAccess
    who: str
    home: str = _HOME
    network: Network = INTERNET

    def listing(self, folder: Folder, *, most: int = 1_000) -> Listing:
        """Return the objects of a folder, by their `gs://` addresses; those that are no videos only count as not empty."""
        videos: list[str] = []
        empty, at, after = True, None, ""
        for page in range(_MAX_PAGES):
            asked = {"prefix": folder.address.removeprefix(f"gs://{folder.bucket}/"), "maxResults": str(most)}
            answer = self._ask(f"/storage/v1/b/{folder.bucket}/o", {**asked, **({"pageToken": after} if after else {})})
            row = _object(answer)
            items = row.get("items", []) if row is not None and row.get("kind") == "storage#objects" else None
            if not isinstance(items, list) or not all(isinstance(i, dict) and isinstance(i.get("name"), str) for i in items):
                raise self._unreadable()
            at = at if page else _clock(answer)
            empty = empty and not items
            videos += [f"gs://{folder.bucket}/{item['name']}" for item in items if _video(item)]
            after = str((row or {}).get("nextPageToken") or "")
            if not after:
                return Listing(tuple(videos), empty, True, at)
        return Listing(tuple(videos), empty, False, at)

    def look(self, address: str) -> None:
        """Make sure that an object is there."""
        stored = self._stored(address)
        row = _object(self._ask(stored.path, {}))
        if row is None or (row.get("bucket"), row.get("name")) != stored:
            raise self._unreadable()

    def bring(self, address: str, into: Path) -> None:
        """Write an object to `into`, whole or not at all."""
        url = f"{self._origin}{self._stored(address).path}?alt=media"
        download(url, into, what=self.who, own=(self._origin,), headers=self.access.token(_SECONDS).headers, network=self.network)

    @property
    def _origin(self) -> str:
        """Raises `BackendError` when the operator's address is none."""
        try:
            return Address.of(self.home if "://" in self.home else f"http://{self.home}").origin
        except ValueError:
            raise BackendError("STORAGE_EMULATOR_HOST is no address", kind=FailureKind.AUTH, money_moved="no") from None

    def _stored(self, address: str) -> StoredAt:
        try:
            return StoredAt.of(address)
        except ValueError as error:
            raise BackendError(f"{self.who}: {address[:80]!r} {error}", kind=FailureKind.GONE, money_moved="maybe") from None

    def _ask(self, path: str, query: dict[str, str]) -> httpx.Response:
        """GET once, in bounded time. Asking moves no money; what it is about may have."""
        headers = self.access.token(_SECONDS).headers
        call = OneCall(_SECONDS, network=self.network)
        try:
            with httpx.Client(transport=call, trust_env=False, follow_redirects=False) as http:
                answer = http.get(f"{self._origin}{path}", params=query, headers=headers)
        except httpx.HTTPError as error:
            raise self._failure(type(error).__name__, FailureKind.TRANSIENT) from None
        if answer.status_code != 200:
            status = answer.status_code
            kind = FailureKind.TRANSIENT if status >= 500 else _KINDS.get(status, FailureKind.VENDOR_INTERNAL)
            raise self._failure(f"Cloud Storage answered HTTP {status}", kind)
        return answer

    def _unreadable(self) -> BackendError:
        return self._failure("what Cloud Storage answered cannot be read", FailureKind.VENDOR_INTERNAL)

    def _failure(self, message: str, kind: FailureKind) -> BackendError:
        return BackendError(f"{self.who}: {message}", kind=kind, money_moved="maybe")


def _video(item: dict[str, Any]) -> bool:
    kind = str(item.get("contentType", ""))
    return not item["name"].endswith("/") and (kind.startswith("video/") or item["name"].endswith(".mp4"))


def _object(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        row = answer.json()
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _clock(answer: httpx.Response) -> datetime | None:
    try:
        said = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return None
    return said if said.tzinfo is not None else said.replace(tzinfo=UTC)
