"""What a job's event stream says: messages as they come, and the job that they add up to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aiprod.errors import ApiUnreachable

__all__ = ["Message", "messages", "told"]

#: One message holds a whole job; more than this is none of ours.
_MOST_BYTES = 64 * 1024 * 1024
_PIECE = 65_536


@dataclass(frozen=True)
class Message:
    """One message of the stream: `snapshot`, `change` or `end`. With `event_id` one comes back for what follows."""

    event: str
    event_id: str
    data: Mapping[str, Any]


def messages(read: Callable[[int], bytes]) -> Iterator[Message]:
    """Yield messages as they are complete. `read` returns what is there, at most so many bytes, and b"" at the end.

    Raises `ApiUnreachable` for what is no event stream of ours.
    """
    event, event_id, data = "message", "", list[str]()
    for line in _lines(read):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "" and data:
            yield Message(event, event_id, _object("\n".join(data)))
        if line == "":
            event, data = "message", []
        elif name == "data":
            data.append(value)
        elif name == "event":
            event = value
        elif name == "id":
            event_id = value
        # A line without a name is a comment: the server is alive.


def told(job: Mapping[str, Any], message: Message) -> dict[str, Any]:
    """Return a job as it is after a message: a snapshot is all of it, a change the fields that are other now."""
    return dict(message.data) if message.event == "snapshot" else {**job, **message.data}


def _lines(read: Callable[[int], bytes]) -> Iterator[str]:
    pieces, size = list[bytes](), 0
    while piece := read(_PIECE):
        *whole, rest = piece.split(b"\n")
        for end in whole:
            yield b"".join([*pieces, end]).removesuffix(b"\r").decode("utf-8", "replace")
            pieces, size = [], 0
        pieces.append(rest)
        size += len(rest)
        if size > _MOST_BYTES:
            raise ApiUnreachable("the event stream never ends a line: what answers there is no AIPROD")


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ApiUnreachable("the event stream is not one of AIPROD's: what answers there?")
    return found
