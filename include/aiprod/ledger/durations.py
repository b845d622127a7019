"""How long a job took that nobody was waited for."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select

from aiprod.ledger import approvals
from aiprod.ledger.schema import cuts, reviews, waits

__all__ = ["pipeline_seconds"]

#: Waits that are nobody's slowness: for money, and for the campaign's turn.
_NOT_COUNTED = ("money", "campaign")


def pipeline_seconds(conn: Connection, job_id: str, version: int, *, now: datetime) -> float | None:
    """Return the seconds from a job's approval until now, minus waiting for people and for money; None without approval."""
    approved = approvals.latest(conn, job_id, version)
    if approved is None or approved.answer != "approved":
        return None
    start = approved.answered_at
    waited = (now - start).total_seconds()
    of_job = select(waits.c.since, waits.c.until).where(waits.c.job_id == job_id, waits.c.version == version)
    for row in conn.execute(of_job.where(waits.c.reason.in_(_NOT_COUNTED), waits.c.until > start)):
        waited -= (row.until - max(row.since, start)).total_seconds()
    looked_at = select(func.max(reviews.c.answered_at)).where(reviews.c.job_id == job_id, reviews.c.version == version)
    made = conn.execute(select(cuts.c.made_at).where(cuts.c.job_id == job_id, cuts.c.version == version)).scalar()
    answered = conn.execute(looked_at).scalar()
    if made is not None and answered is not None and answered > made:
        waited -= (answered - made).total_seconds()
    return max(0.0, waited)
