"""What a changed row comes to: a new version of its job, another job, nothing at all, or a wait until it can be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from aiprod.bulk.revising import Draft, draft
from aiprod.catalog import Catalog
from aiprod.errors import JobMoved
from aiprod.estimating import makers
from aiprod.ledger import Connection, Ledger, erasures, jobs, results
from aiprod.ledger.campaigns import Row
from aiprod.models import JobSpec
from aiprod.planning import changes, plan

__all__ = ["Change", "change_of"]

#: What a manifest says of an order, and its next version may say otherwise.
_IN_A_VERSION = frozenset({"prompt", "shots", "seconds", "aspect_ratio", "audio", "audio_style", "reference_image_url", "seed"})
#: How a video is bought, not what it is: no reason to buy again what is delivered.
_HOW = frozenset({"priority", "prefer", "at_cap", "budget_usd", "project"})
_TERMS = frozenset(JobSpec.model_fields) - _IN_A_VERSION - {"job_id"}


@dataclass(frozen=True)
class Change:
    """What to do about a row that says something else than before.

    `version`: `job_id` gets the drafted version. `job`: a new job takes its place. `back`: `job_id` has its video already.
    `same`: nothing has to be made. `later`: not now, and `why`.
    """

    kind: Literal["version", "job", "back", "same", "later"]
    job_id: str = ""
    draft: Draft | None = None
    why: str = ""


def change_of(ledger: Ledger, catalog: Catalog, before: Sequence[Row], order: JobSpec) -> Change:
    """Say what a changed row comes to; `before` are its revisions, oldest first, at least one. Writes nothing.

    Raises `SpecError` where nobody could make it, or the job's own budget cannot pay for it.
    """
    last = before[-1].job_id
    with ledger.read() as conn:
        specs = {job_id: jobs.spec(conn, job_id) for job_id in {row.job_id for row in before} if _usable(conn, job_id)}
        is_delivered = {job_id: _delivered(conn, job_id) for job_id in {*specs, last}}
    # A version cannot change a job's terms: whose money it is, what it may cost, who may make it, what is good enough.
    host = next((r.job_id for r in reversed(before) if r.job_id in specs and not _differ(specs[r.job_id], order, _TERMS)), None)
    if host is None:
        how_only = last in specs and is_delivered[last] and not _differ(specs[last], order, _TERMS - _HOW)
        return Change("same" if how_only and _same_video(ledger, catalog, last, order) else "job", last)
    if (host == last or is_delivered[host]) and _same_video(ledger, catalog, host, order):
        return Change("same" if host == last else "back", host)
    try:
        return Change("version", host, draft(ledger, catalog, host, order))
    except JobMoved as error:
        return Change("later", host, why=str(error))


def _same_video(ledger: Ledger, catalog: Catalog, job_id: str, order: JobSpec) -> bool:
    """Whether an order asks for nothing else than the newest version of a job already is."""
    with ledger.read() as conn:
        newest = jobs.priced(conn, job_id, jobs.latest(conn, job_id)).manifest
    return not changes(newest, plan(job_id, order, catalog, makers(order, catalog)))


def _delivered(conn: Connection, job_id: str) -> bool:
    """Whether there is a video of what the newest version of a job says, by whichever version: a redo that came to nothing
    takes back no video.
    """
    newest = jobs.priced(conn, job_id, jobs.latest(conn, job_id)).manifest
    made = (n for n in jobs.versions(conn, job_id) if results.delivery(conn, job_id, n) is not None)
    return any(not changes(jobs.priced(conn, job_id, n).manifest, newest) for n in made)


def _usable(conn: Connection, job_id: str) -> bool:
    return jobs.cancelled_by(conn, job_id) is None and erasures.of_job(conn, job_id) is None


def _differ(one: JobSpec, other: JobSpec, names: frozenset[str]) -> bool:
    return any(getattr(one, name) != getattr(other, name) for name in names)
