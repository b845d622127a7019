"""Jobs that wait for a run: entered with a campaign, not admitted, or out of the day's money."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, delete, exists, select, update

from aiprod.ledger.insertion import insert_once
from aiprod.ledger.jobs import URGENCY
from aiprod.ledger.schema import jobs, queue, runs
from aiprod.models import Waiting

__all__ = ["Waiting", "due", "postpone", "put", "take", "waiting"]

#: A run that never settled (its deployment was deleted) holds its jobs back no longer than this.
_ABANDONED = timedelta(hours=6)


def put(conn: Connection, entry: Waiting) -> None:
    """Let a job wait, or change what it waits for; its place among equals stays the one it had."""
    row = entry.model_dump()
    if not insert_once(conn, queue, row):
        changed = {name: row[name] for name in ("version", "reason", "message", "due_at")}
        conn.execute(update(queue).where(queue.c.job_id == entry.job_id).values(**changed))


def take(conn: Connection, job_id: str) -> None:
    """The job waits no more: a run has all it needs for it, or it is over."""
    conn.execute(delete(queue).where(queue.c.job_id == job_id))


def waiting(conn: Connection, job_ids: Sequence[str]) -> dict[str, Waiting]:
    """Return which of these jobs wait, and for what."""
    rows = conn.execute(select(queue).where(queue.c.job_id.in_(job_ids))).mappings()
    return {row["job_id"]: Waiting(**row) for row in rows}


def due(conn: Connection, *, now: datetime, limit: int) -> list[Waiting]:
    """Return jobs that may be served now, most urgent first; never one that a run still carries, nor a cancelled one."""
    carried = exists().where(
        and_(runs.c.job_id == queue.c.job_id, runs.c.settled_at.is_(None), runs.c.started_at > now - _ABANDONED)
    )
    statement = (
        select(queue)
        .join(jobs, jobs.c.job_id == queue.c.job_id)
        .where(queue.c.due_at <= now, jobs.c.cancelled_at.is_(None), ~carried)
        .order_by(URGENCY, queue.c.since, queue.c.job_id)
        .limit(limit)
    )
    return [Waiting(**row) for row in conn.execute(statement).mappings()]


def postpone(conn: Connection, job_ids: Sequence[str], until: datetime) -> None:
    """A run was asked for: until it has begun, or this moment has come, nobody asks for another."""
    conn.execute(update(queue).where(queue.c.job_id.in_(job_ids)).values(due_at=until))
