"""Following a job: its event stream, come back to whenever it ends, and looking every few seconds where nothing streams."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import requests
import urllib3

from aiprod.client_events import messages, told
from aiprod.client_wire import Wire, path
from aiprod.errors import ApiRefused, ApiUnreachable
from aiprod.views import JobView

__all__ = ["Watch"]

#: Seconds without a byte after which a stream is taken for dead: servers end theirs sooner.
_SILENCE = 90.0
#: Seconds between two looks where nothing streams, and before asking again after a failure.
_PAUSE = 2.0
#: Seconds before a stream that ended is opened again.
_BREATH = 0.5
#: Refusals of a stream that say: not like this. The job itself may still be looked at.
_NO_STREAM = (404, 405, 406, 415)


class Watch:
    """One job, followed by one caller.

    :param parse: Makes the job's noun of its JSON.
    :param patience: Seconds without any answer after which `ApiUnreachable` is raised; without a first one, at once.
    """

    def __init__(
        self,
        wire: Wire,
        job_id: str,
        *,
        parse: Callable[[Any], JobView],
        patience: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wire, self._job_id, self._parse, self._patience, self._clock = wire, job_id, parse, patience, clock
        self._job: dict[str, Any] = {}
        self._event_id = self._etag = ""
        self._over, self._streams, self._look = False, True, False
        self._answered: float | None = None

    def views(self) -> Iterator[JobView]:
        """Yield the job as it is now and after every change, until nothing can change any more."""
        while not self._over:
            try:
                yield from self._streamed() if self._streams and not self._look else self._looked()
            except (ApiUnreachable, ApiRefused) as error:
                passing = isinstance(error, ApiUnreachable) or error.status == 429 or error.status >= 500
                if not passing or self._given_up():
                    raise
                # Whether anybody is still there, a look shows; then the stream is opened again.
                self._look = True
                self._wire.sleep(_PAUSE)

    def _given_up(self) -> bool:
        if self._answered is None:
            return self._look
        return self._clock() - self._answered >= self._patience

    def _streamed(self) -> Iterator[JobView]:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": self._event_id} if self._event_id else {})
        try:
            with self._wire.stream(path("job", self._job_id, "events"), headers=headers, read=_SILENCE) as response:
                self._streams = "event-stream" in response.headers.get("Content-Type", "")
                if self._streams:
                    yield from self._heard(response)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise ApiUnreachable(f"the event stream broke ({type(error).__name__})") from None
        except ApiRefused as error:
            self._streams = error.status not in _NO_STREAM
            if self._streams:
                raise

    def _heard(self, response: requests.Response) -> Iterator[JobView]:
        for message in messages(response.raw.read1):
            self._answered = self._clock()
            self._event_id = message.event_id or self._event_id
            if message.event in ("snapshot", "change"):
                self._job = told(self._job, message)
                yield self._parse(self._job)
            elif message.event == "end":
                self._over = bool(message.data.get("over"))
                return None if self._over else self._wire.sleep(_BREATH)
        raise ApiUnreachable("the event stream broke off")

    def _looked(self) -> Iterator[JobView]:
        headers = {"If-None-Match": self._etag} if self._etag else {}
        answer = self._wire.ask("GET", path("job", self._job_id), headers=headers)
        self._answered, self._look = self._clock(), False
        if answer.status != 304:
            job = self._parse(answer.data)
            # What the stream told last is not told again.
            fresh = answer.data.get("revision") != self._job.get("revision")
            self._etag, self._job, self._over = answer.headers.get("ETag", ""), answer.data, job.over
            if fresh:
                yield job
        if not self._over and not self._streams:
            self._wire.sleep(_PAUSE)
