"""A running AIPROD from Python: order, look, answer, follow and fetch over its API. The command line stands on it.

    with Client.from_environment() as aiprod:
        job = aiprod.create({"prompt": "a lighthouse at dawn", "seconds": 5}).job
        for job in aiprod.watch(job.job_id):
            print(job.status, job.costs.charged)

Money in what comes back is integer micro-dollars, times are UTC. Every call has a timeout. Reading is tried again when no
answer comes, and so is `create`, which names its order; nothing else is ever sent twice.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ValidationError

from aiprod import settings
from aiprod.client_files import Fetched, fetch
from aiprod.client_watch import Watch
from aiprod.client_wire import Answer, Credentials, Wire, path
from aiprod.errors import ApiUnreachable, ConfigError
from aiprod.models import JobSpec, JobStatus, Manifest, Micros, Noun
from aiprod.views import Edited, JobCosts, JobPage, JobView

__all__ = ["Client", "Created", "Fetched", "as_noun"]

_N = TypeVar("_N", bound=BaseModel)


class Created(Noun):
    """An order that was taken. Not `fresh`: the same order was there before, and this is its job."""

    job: JobView
    fresh: bool


class Client:
    """One AIPROD, asked by one person or program. Close it, or use it in a `with` block.

    :param url: The api-server's address, for example `https://airflow.example.com`.
    :param token: A token of Airflow's. Without one, `user` and `password` are traded for one, and again when it runs out.
    :param sleep: Waits between two tries.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        user: str = "",
        password: str = "",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._wire = Wire(url, Credentials(token, user, password), sleep=sleep)

    @classmethod
    def from_environment(cls) -> Self:
        """Return a client for `AIPROD_API_URL`, asked by `AIPROD_API_TOKEN`, or `AIPROD_API_USER` and `AIPROD_API_PASSWORD`.

        Raises `ConfigError` when no address is set.
        """
        url = settings.api_url()
        if not url:
            raise ConfigError("AIPROD_API_URL is not set: say where AIPROD runs, for example http://localhost:8080")
        return cls(url, token=settings.api_token(), user=settings.api_user(), password=settings.api_password())

    # order
    def create(self, order: JobSpec | Mapping[str, Any], *, key: str | None = None) -> Created:
        """Order a video; it is priced and its run is started. Money moves only once it is approved.

        The same `key` (or the order's own `job_id`) with the same order is the same job; with another it is a `JobConflict`.
        Without either a key is made, so that the order is entered once even when the first answer is lost.
        """
        body = order.model_dump(mode="json", exclude_none=True) if isinstance(order, JobSpec) else dict(order)
        headers = {"Idempotency-Key": key or uuid.uuid4().hex} if key or not body.get("job_id") else {}
        answer = self._wire.ask("POST", "/job/create", body=body, headers=headers, again=True)
        return Created(job=_read(JobView, answer), fresh=answer.status == 201)

    def estimate(self, order: JobSpec | Mapping[str, Any]) -> dict[str, Any]:
        """Return what an order would cost and who would make it; nothing is entered."""
        body = order.model_dump(mode="json", exclude_none=True) if isinstance(order, JobSpec) else dict(order)
        return _object(self._wire.ask("POST", "/cost-estimate", body=body, again=True))

    # look
    def job(self, job_id: str) -> JobView:
        """Return everything about a job. Raises `JobUnknown`, also where its project is not ours to see."""
        return _read(JobView, self._wire.ask("GET", path("job", job_id), again=True))

    def jobs(
        self,
        *,
        status: Collection[JobStatus | str] = (),
        project: str | None = None,
        preset: str | None = None,
        campaign: str | None = None,
        created_by: str | None = None,
        text: str = "",
        before: str | None = None,
        limit: int = 50,
    ) -> JobPage:
        """Return a page of jobs, newest first. `before` is the `next` of the page before."""
        words = {"project": project, "preset": preset, "campaign": campaign, "created_by": created_by, "q": text or None}
        params: list[tuple[str, Any]] = [("status", str(one)) for one in status]
        params += [(name, value) for name, value in {**words, "before": before, "limit": limit}.items() if value is not None]
        return _read(JobPage, self._wire.ask("GET", "/jobs", params=params, again=True))

    def manifest(self, job_id: str, *, version: int | None = None) -> Manifest:
        """Return the shot list of a job: the newest version, or the one named."""
        params = {} if version is None else {"version": version}
        answer = self._wire.ask("GET", path("job", job_id, "manifest"), params=params, again=True)
        return as_noun(Manifest, _object(answer).get("manifest"))

    def costs(self, job_id: str) -> JobCosts:
        """Return what every purchase of a job was quoted and charged."""
        return _read(JobCosts, self._wire.ask("GET", path("job", job_id, "costs"), again=True))

    def backends(self) -> dict[str, Any]:
        """Return the video backends: configured or not, healthy or not, models and prices."""
        return _object(self._wire.ask("GET", "/backends", again=True))

    def watch(self, job_id: str, *, patience: float = 300.0) -> Iterator[JobView]:
        """Yield a job as it is now and after every change, until nothing can change any more. Stop whenever you like.

        Raises `ApiUnreachable` once nobody has answered for `patience` seconds. The job goes on whoever watches.
        """
        return Watch(self._wire, job_id, parse=lambda told: as_noun(JobView, told), patience=patience).views()

    # answer
    def approve(self, job_id: str, *, version: int, amount: Micros | None = None, cut_sha: str | None = None) -> JobView:
        """Allow the money of one version (`amount`, as it was shown), or its finished video (`cut_sha`).

        Raises `JobMoved` when either is not what it is now; look again then. `SamePerson` where another one has to say so.
        """
        body = _given(version=version, amount=amount, cut_sha=cut_sha)
        return _read(JobView, self._wire.ask("POST", path("job", job_id, "approve"), body=body))

    def reject(
        self, job_id: str, *, version: int, amount: Micros | None = None, cut_sha: str | None = None, why: str = ""
    ) -> JobView:
        """Refuse the money of one version, or its finished video. Raises as `approve`."""
        body = _given(version=version, amount=amount, cut_sha=cut_sha, why=why or None)
        return _read(JobView, self._wire.ask("POST", path("job", job_id, "reject"), body=body))

    # change
    def edit(self, job_id: str, change: Mapping[str, Any], *, base_version: int) -> Edited:
        """Write a new version of the shot list before its money is approved; it is priced at once.

        `change` holds `shots`, and perhaps `audio_style`, `aspect_ratio`, `audio`. Raises `JobMoved` when `base_version` is
        not the newest, or the money is approved.
        """
        body = {**change, "base_version": base_version}
        return _read(Edited, self._wire.ask("POST", path("job", job_id, "manifest"), body=body))

    def redo(
        self,
        job_id: str,
        *,
        shots: Sequence[int],
        base_version: int,
        changes: Mapping[int, Mapping[str, Any]] | None = None,
    ) -> JobView:
        """Make some shots of a finished job again, in a new version; the others are used again at no cost."""
        changed = {str(shot): dict(spec) for shot, spec in (changes or {}).items()}
        body = {"base_version": base_version, "shots": list(shots), "changes": changed}
        return _read(JobView, self._wire.ask("POST", path("job", job_id, "redo"), body=body))

    def cancel(self, job_id: str) -> JobView:
        """Hold and send nothing more for a job, and ask its vendors to stop. What runs there may still be billed."""
        return _read(JobView, self._wire.ask("POST", path("job", job_id, "cancel")))

    # files
    def download(self, job_id: str, file: Path, *, what: str = "video", version: int | None = None) -> Fetched:
        """Fetch the `video`, `poster` or `contact-sheet` of a job to a file that is not there yet, checked by its SHA-256."""
        return fetch(self._wire, path("job", job_id, what), file, version=version)

    def close(self) -> None:
        """Give the connections back."""
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _object(answer: Answer) -> dict[str, Any]:
    return dict(answer.data or {})


def _read(noun: type[_N], answer: Answer) -> _N:
    return as_noun(noun, answer.data)


def as_noun(noun: type[_N], data: Any) -> _N:
    """Return the noun; a field that a younger server has and we do not know is no reason to stop."""
    try:
        return noun.model_validate(data, extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ApiUnreachable(f"the server's answer is of another release ({noun.__name__}.{where}: {first['msg']})") from None
