"""A person's word on a finished video: about the cut they saw, once, whichever way it comes in."""

from __future__ import annotations

from typing import Literal

from aiprod.catalog import Catalog
from aiprod.errors import JobFailed, JobMoved
from aiprod.ledger import Connection, Ledger, answerers, approvals, job_status, jobs, results
from aiprod.ledger.approvals import Reviewed
from aiprod.ledger.engine import now as database_now
from aiprod.models import JobStatus

__all__ = ["answer_cut", "answer_shown", "nobody_looked"]


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
            standing = _book(conn, catalog, job_id, version, word, by=by, cut_sha=cut_sha)
            if why.strip():
                jobs.remark(conn, job_id, version, word, f"{by}: {why.strip()}", now=database_now(conn))
        if (standing.answer, standing.by) != (word, by):
            raise JobMoved(f"the video of job {job_id} was {standing.answer} by {standing.by} before")
        return standing.answer


def answer_shown(
    ledger: Ledger,
    catalog: Catalog,
    job_id: str,
    word: Literal["accepted", "rejected"],
    *,
    by: str,
    run_id: str,
    task_id: str,
) -> str:
    """Write a word given in Airflow: it is about the version and cut that were shown there, whatever the job is by now.

    Returns the word that stands; the first one does. Raises `NotAMember`, and `SamePerson` as `answer_cut`.
    """
    with ledger.write() as conn:
        shown = approvals.first_shown(conn, run_id, task_id, job_id)
        if shown is None:
            raise JobFailed(f"job {job_id}: no video was shown for run {run_id}, so there is nothing to answer")
        version, cut_sha = shown
        return _book(conn, catalog, job_id, version, word, by=by, cut_sha=cut_sha).answer


def _book(
    conn: Connection,
    catalog: Catalog,
    job_id: str,
    version: int,
    word: Literal["accepted", "rejected"],
    *,
    by: str,
    cut_sha: str,
) -> Reviewed:
    """Write a word on one cut, by who may give it; return the word that stands. Another cut needs another word."""
    answerers.require_entitled(conn, catalog, job_id, version, by=by)
    return approvals.review(conn, job_id, version, cut_sha, word, by=by, now=database_now(conn))


def nobody_looked(ledger: Ledger, job_id: str, *, run_id: str, task_id: str) -> None:
    """Write down that a run's question about a finished video ran out of time: about the version that was shown."""
    why = "nobody looked at the video in time; it is stored and not delivered"
    with ledger.write() as conn:
        shown = approvals.first_shown(conn, run_id, task_id, job_id)
        version = jobs.latest(conn, job_id) if shown is None else shown[0]
        jobs.remark(conn, job_id, version, job_status.NOBODY_LOOKED, why, now=database_now(conn))
