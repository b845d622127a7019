"""The same for several jobs, one after the other or side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from aiprod import logs

__all__ = ["turns"]

_T = TypeVar("_T")


def turns(versions: Mapping[str, int], do: Callable[[str, int], _T], at_once: int) -> Iterator[tuple[str, Callable[[], _T]]]:
    """What each job's turn comes to, in their order: taken when asked for, or `at_once` side by side.

    Log lines written in a job's turn are about that job.
    """

    def turn(job_id: str, version: int) -> _T:
        with logs.about(job_id=job_id):
            return do(job_id, version)

    if at_once < 2 or len(versions) < 2:
        yield from ((job_id, partial(turn, job_id, version)) for job_id, version in versions.items())
        return
    with ThreadPoolExecutor(min(at_once, len(versions))) as pool:
        begun = {job_id: pool.submit(turn, job_id, version) for job_id, version in versions.items()}
        yield from ((job_id, future.result) for job_id, future in begun.items())
