"""Files of a job fetched over the API: whole, checked, and never over another file."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import requests
import urllib3

from aiprod.client_wire import Wire
from aiprod.errors import ApiUnreachable, StorageError
from aiprod.models import Noun

__all__ = ["Fetched", "fetch"]

_PIECE = 1024 * 1024
#: Seconds between two pieces of a file.
_READ = 60.0


class Fetched(Noun):
    """A file that is home: `size` in bytes, and its SHA-256, which is the server's."""

    file: str
    size: int
    sha256: str


def fetch(wire: Wire, path: str, file: Path, *, version: int | None = None) -> Fetched:
    """Fetch one file. It appears under its name once it is whole and its SHA-256 is the one the server named.

    Raises `StorageError` when something is there already or cannot be written, `ApiUnreachable` for half a file.
    """
    if file.exists():
        raise StorageError(f"{file} is there already: give another name")
    query = "" if version is None else f"?version={version}"
    try:
        handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    except OSError as error:
        raise StorageError(f"{file} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as out, wire.stream(path + query, headers={}, read=_READ) as response:
            digest, size = hashlib.sha256(), 0
            for piece in response.iter_content(_PIECE):
                out.write(piece)
                digest.update(piece)
                size += len(piece)
            named = response.headers.get("ETag", "").strip('"')
        if named != digest.hexdigest():
            raise ApiUnreachable(f"{file.name} did not come whole: it is not the file that the server named")
        # A link, not a rename: what appeared there meanwhile stays.
        os.link(name, file)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise ApiUnreachable(f"{file.name} did not come whole ({type(error).__name__}); ask for it again") from None
    except OSError as error:
        raise StorageError(f"{file} cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            Path(name).unlink()
    return Fetched(file=str(file), size=size, sha256=digest.hexdigest())
