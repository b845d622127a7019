"""When a render was last asked for and how far it was: for people who watch. No decision about money reads this."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, select, update

from aiprod.ledger.insertion import insert_once
from aiprod.ledger.schema import purchases, sightings
from aiprod.models import JobState, Noun

__all__ = ["EVERY", "Sighting", "of_job", "see"]

#: A render is written down at most this often, however often it is asked for.
EVERY = timedelta(seconds=5)


class Sighting(Noun):
    """When a vendor last told of a render, and how much of it was done: 0 to 1, None where it does not say."""

    seen_at: datetime
    progress: float | None


def see(conn: Connection, backend: str, seen: Iterable[tuple[str, JobState]], *, now: datetime) -> None:
    """Write down what a backend said of its renders, by its own ids, unless that was done a moment ago."""
    for vendor_id, state in seen:
        progress = None if state.progress is None else min(1.0, max(0.0, state.progress))
        row = {"backend": backend, "vendor_id": vendor_id, "seen_at": now, "progress": progress}
        if not insert_once(conn, sightings, row):
            mine = and_(sightings.c.backend == backend, sightings.c.vendor_id == vendor_id)
            stale = sightings.c.seen_at <= now - EVERY
            conn.execute(update(sightings).where(mine, stale).values(seen_at=now, progress=progress))


def of_job(conn: Connection, job_id: str) -> dict[tuple[str, str], Sighting]:
    """Return when each render of a job was last seen, by backend and vendor's id."""
    same = and_(sightings.c.backend == purchases.c.backend, sightings.c.vendor_id == purchases.c.vendor_id)
    rows = conn.execute(select(sightings).join(purchases, same).where(purchases.c.job_id == job_id))
    return {(row.backend, row.vendor_id): Sighting(seen_at=row.seen_at, progress=row.progress) for row in rows}
