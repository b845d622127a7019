"""A person's word on a finished video, given over the API: about the cut they saw, once."""

from __future__ import annotations

from typing import Literal

from aiprod.catalog import Catalog
from aiprod.errors import JobMoved
from aiprod.ledger import Ledger, answerers, approvals, job_status, jobs, results
from aiprod.ledger.engine import now as database_now
from aiprod.models import JobStatus

__all__ = ["answer_cut", "nobody_looked"]


def answer_cut(
    ledger: Ledger,
    catalog: Catalog,
    job_id: str,
    version: int,
    word: Literal["accepted", "rejected"],
    *,
    by: str,
    cut_sha: str,
    why: str = "",
) -> str:
    """Write a person's word on the cut they saw; the same word of the same person again is the same.

    Raises `JobMoved` when it is not the cut of the newest version that waits for a word, or somebody was faster, and
    `SamePerson` where the preset wants another one's word.
    """
    with ledger.write() as conn:
        newest, made = jobs.latest(conn, job_id), results.cut(conn, job_id, version)
        if newest != version or made is None or made.video.sha256 != cut_sha:
            raise JobMoved(f"the video of job {job_id} is not any more the one that was seen")
        standing = approvals.reviewed(conn, job_id, version, cut_sha)
        if standing is None:
            status = job_status.status_of(conn, job_id)
            if status is not JobStatus.FINAL_APPROVAL:
                raise JobMoved(f"job {job_id} is {status}; its video waits for nobody's word")
            answerers.require_entitled(conn, catalog, job_id, version, by=by)
            now = database_now(conn)
            standing = approvals.review(conn, job_id, version, cut_sha, word, by=by, now=now)
            if why.strip():
                jobs.remark(conn, job_id, version, word, f"{by}: {why.strip()}", now=now)
        if (standing.answer, standing.by) != (word, by):
            raise JobMoved(f"the video of job {job_id} was {standing.answer} by {standing.by} before")
        return standing.answer


def nobody_looked(ledger: Ledger, job_id: str, *, run_id: str, task_id: str) -> None:
    """Write down that a run's question about a finished video ran out of time: about the version that was shown."""
    why = "nobody looked at the video in time; it is stored and not delivered"
    with ledger.write() as conn:
        shown = approvals.first_shown(conn, run_id, task_id, job_id)
        version = jobs.latest(conn, job_id) if shown is None else shown[0]
        jobs.remark(conn, job_id, version, job_status.NOBODY_LOOKED, why, now=database_now(conn))
