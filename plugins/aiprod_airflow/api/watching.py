"""What changed in a job, for everybody who watches it: one look at the ledger a second per process, however many watch."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from weakref import WeakKeyDictionary

from fastapi import HTTPException
from fastapi.concurrency import run_in_threadpool

from aiprod.errors import AiprodError
from aiprod.ledger import DatabaseError
from aiprod.pipeline import Pipeline
from aiprod.views import JobView

__all__ = ["Event", "Seen", "Watching", "changes_since", "follow", "watching_of"]

log = logging.getLogger(__name__)

#: Seconds between two looks: a change is told within two.
EVERY = 1.0
#: More than any team has open; each costs a task and a connection.
MAX_WATCHERS = 1_000
#: More than anybody's browser has open, and far from all of them.
MAX_EACH = 100
#: Bytes of each field's mark in an event's id.
_MARK = 6
_FIELDS = tuple(JobView.model_fields)
#: An id of another release, with other fields, says nothing.
_RELEASE = hashlib.blake2b(repr(_FIELDS).encode(), digest_size=_MARK).digest()


@dataclass(frozen=True)
class Seen:
    """A job as it was at one look: the fields of its `JobView` as JSON, and whether nothing can change any more."""

    fields: Mapping[str, Any]
    over: bool

    @property
    def revision(self) -> str:
        return str(self.fields["revision"])

    @property
    def event_id(self) -> str:
        """Marks of every field: whoever comes back with it is told what changed since, by any process."""
        marks = b"".join(_mark(self.fields[name]) for name in _FIELDS)
        return base64.urlsafe_b64encode(_RELEASE + marks).decode()


@dataclass(frozen=True)
class Event:
    """One message of a stream. `event_id` is what to come back with."""

    event: Literal["snapshot", "change", "end"]
    event_id: str
    data: Mapping[str, Any]


def _mark(value: Any) -> bytes:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=_MARK).digest()


def changes_since(event_id: str | None, now: Seen) -> Event | None:
    """Return the first event for somebody who saw `event_id` last: what changed, None if nothing did, else everything."""
    try:
        known = base64.urlsafe_b64decode(event_id or "")
    except ValueError:
        known = b""
    if len(known) != _MARK * (1 + len(_FIELDS)) or not known.startswith(_RELEASE):
        return Event("snapshot", now.event_id, now.fields)
    marks = [known[n : n + _MARK] for n in range(_MARK, len(known), _MARK)]
    new = {name: now.fields[name] for name, mark in zip(_FIELDS, marks, strict=True) if _mark(now.fields[name]) != mark}
    return Event("change", now.event_id, {**new, "revision": now.revision}) if new else None


def _changed(before: Seen, now: Seen) -> Event:
    new = {name: value for name, value in now.fields.items() if value != before.fields[name]}
    return Event("change", now.event_id, {**new, "revision": now.revision})


@dataclass
class _Watched:
    """A job that somebody watches, as it was last seen."""

    seen: Seen
    #: Which look that was: of two that overlap, the one begun later is right.
    look: int
    watchers: int = 0
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, seen: Seen, look: int) -> None:
        if look > self.look:
            self.seen, self.look = seen, look
            self.moved.set()
            self.moved = asyncio.Event()

    async def other_than(self, revision: str, seconds: float) -> Seen | None:
        """Return the job once it is at another revision; None when that takes longer than `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while self.seen.revision == revision:
                    await self.moved.wait()
        except TimeoutError:
            return None
        return self.seen


class Watching:
    """Everybody who watches a job through one event loop. It looks only while somebody does.

    :param revisions: Blocking; what `viewing.revisions` returns.
    :param read: Blocking; reads one job.
    """

    def __init__(
        self, revisions: Callable[[Sequence[str]], Mapping[str, str]], read: Callable[[str], Seen], *, every: float = EVERY
    ) -> None:
        self._revisions, self._read, self._every = revisions, read, every
        self._watched: dict[str, _Watched] = {}
        self._looking: asyncio.Task[None] | None = None
        self._looks = itertools.count(1)
        self._streams: Counter[str] = Counter()

    @asynccontextmanager
    async def watch(self, job_id: str, who: str) -> AsyncIterator[_Watched]:
        """Look at a job for as long as the context is open; it is read once at the start. Raises what reading raises,
        503 when too many watch already, and 429 when `who` alone has too many streams open.
        """
        if self._streams.total() >= MAX_WATCHERS:
            raise HTTPException(503, "too many streams are open here; ask again, or read the job itself")
        if self._streams[who] >= MAX_EACH:
            raise HTTPException(429, f"{who} has {MAX_EACH} streams open; close some, or read the job itself")
        self._streams[who] += 1
        try:
            async with self._watched_with(job_id) as watched:
                yield watched
        finally:
            self._streams[who] -= 1
            self._streams += Counter()

    @asynccontextmanager
    async def _watched_with(self, job_id: str) -> AsyncIterator[_Watched]:
        look = next(self._looks)
        now = await run_in_threadpool(self._read, job_id)
        watched = self._watched.setdefault(job_id, _Watched(now, look))
        watched.tell(now, look)
        watched.watchers += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._keep_looking())
        try:
            yield watched
        finally:
            watched.watchers -= 1
            if not watched.watchers:
                self._watched.pop(job_id, None)

    async def _keep_looking(self) -> None:
        while self._watched:
            await asyncio.sleep(self._every)
            try:
                await self._look_once()
            except (AiprodError, DatabaseError) as error:
                # Busy, or gone for a moment: streams are short, and whoever comes back is told what they missed.
                log.warning("Watched jobs could not be read: %s", type(error).__name__)

    async def _look_once(self) -> None:
        found = await run_in_threadpool(self._revisions, list(self._watched))
        for job_id, revision in found.items():
            watched = self._watched.get(job_id)
            if watched is not None and watched.seen.revision != revision:
                look = next(self._looks)
                watched.tell(await run_in_threadpool(self._read, job_id), look)


#: An event loop is one worker's; tests have one each.
_OF_LOOP: WeakKeyDictionary[asyncio.AbstractEventLoop, Watching] = WeakKeyDictionary()


def watching_of(orders: Pipeline) -> Watching:
    """Return the one of this event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _OF_LOOP:
        _OF_LOOP[loop] = Watching(orders.revisions, lambda job_id: seen(orders.view(job_id)), every=EVERY)
    return _OF_LOOP[loop]


def seen(view: JobView) -> Seen:
    """Return a view as streams tell it."""
    return Seen(view.model_dump(mode="json"), over=view.over)


async def follow(watching: Watching, job_id: str, since: str | None, seconds: float, *, who: str) -> AsyncIterator[Event]:
    """Yield what somebody who saw `since` last has missed, then every change, for at most `seconds`; then `end`.

    `end` says whether the job is over, or only this stream is.
    """
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + seconds
    async with watching.watch(job_id, who) as watched:
        now = watched.seen
        missed = changes_since(since, now)
        if missed is not None:
            yield missed
        while not now.over:
            later = await watched.other_than(now.revision, ends_at - loop.time())
            if later is None:
                break
            yield _changed(now, later)
            now = later
        yield Event("end", now.event_id, {"over": now.over, "revision": now.revision})
