"""Whether an MP4 or MOV file is whole, read from its boxes without decoding anything."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

__all__ = ["truncation"]

#: A file that starts with one of these is ISO-BMFF or QuickTime; of any other we cannot tell, and say nothing.
_FIRST = frozenset((b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"pnot", b"sidx"))
_MOST_BOXES = 100_000


def truncation(path: Path) -> str:
    """Return what is missing at the end of the file, or an empty string when nothing is known to be missing.

    Raises `OSError` when the file cannot be read.
    """
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if stream.read(8)[4:] not in _FIRST:
            return ""
        position, kinds = 0, set()
        for _ in range(_MOST_BOXES):
            if size - position < 8:
                break
            length, kind = _box(stream, position, size)
            if not (kind.isascii() and kind.decode().isprintable()):
                # Padding after the last box hurts nobody.
                break
            if length < 8:
                break
            kinds.add(kind)
            if position + length > size:
                name = kind.decode("latin-1")
                return f"box {name!r} ends at byte {position + length:,}, the file at {size:,}"
            position += length
    return "" if kinds & {b"moov", b"moof"} else "the index (box 'moov') is missing"


def _box(stream: BinaryIO, position: int, size: int) -> tuple[int, bytes]:
    """Return length and kind of the box at `position`."""
    stream.seek(position)
    head = stream.read(16)
    length, kind = int.from_bytes(head[:4], "big"), head[4:8]
    if length == 1:
        return int.from_bytes(head[8:16], "big"), kind
    return (size - position if length == 0 else length), kind
