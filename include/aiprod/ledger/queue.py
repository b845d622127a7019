"""Jobs that wait for a run: entered with a campaign, not admitted, or out of the day's money."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, delete, exists, func, select, update

from aiprod.ledger import points
from aiprod.ledger.campaigns import held_back
from aiprod.ledger.insertion import insert_once
from aiprod.ledger.jobs import URGENCY
from aiprod.ledger.schema import jobs, queue, runs, waits
from aiprod.models import Waiting

__all__ = ["ABANDONED", "Waiting", "asked_for", "carried", "due", "postpone", "put", "take", "waiting"]

#: A run that never settled (its deployment was deleted) holds its jobs back no longer than this.
ABANDONED = timedelta(hours=6)


def put(conn: Connection, entry: Waiting) -> None:
    """Let a job wait, or change what it waits for; its place among equals stays the one it had."""
    row = entry.model_dump()
    if not insert_once(conn, queue, row):
        before = waiting(conn, [entry.job_id]).get(entry.job_id)
        if before is not None and before.reason != entry.reason:
            _over(conn, before, until=entry.since)
        changed = {name: row[name] for name in ("version", "reason", "message", "due_at")}
        conn.execute(update(queue).where(queue.c.job_id == entry.job_id).values(**changed))


def take(conn: Connection, job_id: str, *, now: datetime) -> None:
    """The job waits no more: a run has all it needs for it, or it is over. How long it waited is written down."""
    before = waiting(conn, [job_id]).get(job_id)
    if before is not None and conn.execute(delete(queue).where(queue.c.job_id == job_id)).rowcount == 1:
        _over(conn, before, until=now)


def _over(conn: Connection, wait: Waiting, *, until: datetime) -> None:
    """One wait is over. A job that waited for something else before began to wait for this when that was over."""
    last = select(func.max(waits.c.until)).where(waits.c.job_id == wait.job_id, waits.c.version == wait.version)
    since = max(wait.since, conn.execute(last).scalar() or wait.since)
    row = {"job_id": wait.job_id, "version": wait.version, "reason": wait.reason, "since": since, "until": until}
    if until > since and insert_once(conn, waits, row):
        points.emit(conn, "queue_wait", (until - since).total_seconds(), now=until, reason=wait.reason)


def waiting(conn: Connection, job_ids: Sequence[str]) -> dict[str, Waiting]:
    """Return which of these jobs wait, and for what."""
    rows = conn.execute(select(queue).where(queue.c.job_id.in_(job_ids))).mappings()
    return {row["job_id"]: Waiting(**row) for row in rows}


def due(conn: Connection, *, now: datetime, limit: int) -> list[Waiting]:
    """Return jobs that may be served now, most urgent first; none that a run carries, nor one that is cancelled or paused."""
    carried = exists().where(
        and_(runs.c.job_id == queue.c.job_id, runs.c.settled_at.is_(None), runs.c.started_at > now - ABANDONED)
    )
    statement = (
        select(queue)
        .join(jobs, jobs.c.job_id == queue.c.job_id)
        .where(queue.c.due_at <= now, jobs.c.cancelled_at.is_(None), ~held_back(), ~carried)
        .order_by(URGENCY, queue.c.since, queue.c.job_id)
        .limit(limit)
    )
    return [Waiting(**row) for row in conn.execute(statement).mappings()]


def carried(conn: Connection, *, now: datetime) -> bool:
    """Whether a run is under way that carries a job of a campaign."""
    open_runs = (runs.c.settled_at.is_(None), runs.c.started_at > now - ABANDONED, jobs.c.campaign.is_not(None))
    statement = select(runs.c.run_id).join(jobs, jobs.c.job_id == runs.c.job_id).where(*open_runs)
    return conn.execute(statement.limit(1)).first() is not None


def asked_for(conn: Connection, *, now: datetime) -> list[Waiting]:
    """Return jobs for which a run was asked for that holds nothing yet: their place is taken, though nothing shows it."""
    statement = select(queue).where(queue.c.reason.in_(("campaign", "slots")), queue.c.due_at > now)
    return [Waiting(**row) for row in conn.execute(statement.order_by(queue.c.job_id)).mappings()]


def postpone(conn: Connection, job_ids: Sequence[str], until: datetime) -> None:
    """A run was asked for: until it has begun, or this moment has come, nobody asks for another."""
    conn.execute(update(queue).where(queue.c.job_id.in_(job_ids)).values(due_at=until))
