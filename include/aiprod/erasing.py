"""Deletes what a customer gave us and what was made of it, on request or after a configured time; what money did stays."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from aiprod.catalog import Catalog
from aiprod.errors import AiprodError, JobFailed
from aiprod.ledger import Connection, Ledger, erasures
from aiprod.ledger.engine import now as database_now
from aiprod.models import Erasure
from aiprod.storage import Storage

__all__ = ["apply_retention", "erase", "waiting"]

log = logging.getLogger(__name__)

#: Files deleted in one call; a job with more is finished by the next one.
_FILES = 10_000
#: Jobs per pass of `reconcile`: its other work waits meanwhile.
_JOBS = 20


def erase(ledger: Ledger, storage: Storage, job_id: str, *, by: str, why: str) -> Erasure:
    """Delete every file of a job and overwrite every word of it, and write down who wanted that and why.

    First it is recorded and the words go, in one transaction; then the files go. Whoever is killed in between is finished
    by the next call, or by `reconcile`. Again, it changes nothing. Raises `JobFailed` for a job that is not over, or not in
    the ledger, and then changes nothing; `StorageError` when a file can not be deleted now.
    """
    with ledger.read() as conn:
        known = erasures.of_job(conn, job_id)
        why_not = erasures.in_the_way(conn, job_id, now=database_now(conn)) if known is None else None
    if why_not is not None:
        raise JobFailed(why_not)
    if known is None:
        # Outside of the transaction: a bucket may take its time.
        found = storage.below(job_id)
        with ledger.write() as conn:
            size = sum(bytes_ for _, bytes_ in found)
            erasures.record(conn, job_id, by=by, why=why, files=len(found), size=size, now=database_now(conn))
    for path, _ in storage.below(job_id)[:_FILES]:
        storage.delete(path)
    gone = storage.below(job_id) == []
    with ledger.write() as conn:
        if gone:
            erasures.finish(conn, job_id, now=database_now(conn))
        done = erasures.of_job(conn, job_id)
    assert done is not None  # noqa: S101 - recorded above, or found
    return done


def waiting(conn: Connection, catalog: Catalog, *, now: datetime) -> list[str]:
    """Return jobs to erase now, a few: those left half done first, then those whose time is over."""
    begun = erasures.unfinished(conn, limit=_JOBS)
    retention = catalog.retention
    if not retention.deletes:
        return begun

    def ago(days: int | None) -> datetime | None:
        return None if days is None else now - timedelta(days=days)

    projects = {name: ago(days) for name, days in retention.projects.items()}
    return [*begun, *erasures.due(conn, before=ago(retention.days), projects=projects, now=now, limit=_JOBS)]


def apply_retention(ledger: Ledger, storage: Storage, job_ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """Erase jobs whose time is over; return one line per job that was erased, and one per job that could not be."""
    done, troubles = [], []
    for job_id in job_ids:
        try:
            erased = erase(ledger, storage, job_id, by="retention", why="kept for as long as the configuration says")
            done.append(f"{job_id} erased: {erased.files} files, {erased.size:,} bytes")
        except JobFailed as moved_on:
            # Somebody works on it again: its time comes later.
            log.info("%s", moved_on)
        except Exception as error:
            log.warning("%s could not be erased: %s", job_id, error, exc_info=not isinstance(error, AiprodError))
            troubles.append(f"{job_id} could not be erased: {error}")
    return done, troubles
