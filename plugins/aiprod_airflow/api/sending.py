"""A stored file over HTTP: whole or one range of it, read from where it is kept and nowhere copied to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from aiprod.models import StoredFile, Take
from aiprod.storage import Storage

__all__ = ["send"]

_CHUNK = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


def send(request: Request, storage: Storage, kept: StoredFile | Take, *, media_type: str) -> Response:
    """Return the file, the range of it that was asked for (206), or that the caller has it (304).

    Several ranges at once are answered with all of it, as RFC 9110 section 14.2 allows. Raises `StorageError`.
    """
    tag = f'"{kept.sha256}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff", "Accept-Ranges": "bytes"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    # Somebody who resumes with another file's tag is sent all of this one.
    same = request.headers.get("if-range", tag) == tag
    part = _asked(request.headers.get("range") if same else None, kept.size)
    first, end = part or (0, kept.size)
    if part and first >= end:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{kept.size}"})
    headers |= {"Content-Range": f"bytes {first}-{end - 1}/{kept.size}"} if part else {}
    headers |= {"Content-Length": str(end - first), "Content-Disposition": f'inline; filename="{kept.path.rsplit("/", 1)[-1]}"'}
    # Opened before anything is answered: what is gone is told as that.
    stream = storage.open(kept.path)
    if request.method == "HEAD":
        stream.close()
        return Response(status_code=206 if part else 200, headers=headers, media_type=media_type)
    return StreamingResponse(_read(stream, first, end), 206 if part else 200, headers, media_type)


def _asked(wanted: str | None, size: int) -> tuple[int, int] | None:
    """The first byte and the one after the last; None for what is no single range. An empty one cannot be served."""
    found = _RANGE.fullmatch(wanted.strip()) if wanted else None
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    return int(first), min(size, int(last) + 1) if last else size


def _read(stream: BinaryIO, first: int, end: int) -> Iterator[bytes]:
    with stream:
        stream.seek(first)
        while first < end and (chunk := stream.read(min(_CHUNK, end - first))):
            first += len(chunk)
            yield chunk
