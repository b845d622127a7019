"""Takes that a later version of a job uses again, and what that saved."""

from __future__ import annotations

from sqlalchemy import Connection, select

from aiprod.ledger.schema import reuses
from aiprod.models import Micros

__all__ = ["of_job"]


def of_job(conn: Connection, job_id: str, version: int) -> dict[int, Micros]:
    """Return the shots of a job version whose take was there before, with what each would have cost."""
    rows = conn.execute(select(reuses.c.shot, reuses.c.saved).where(reuses.c.job_id == job_id, reuses.c.version == version))
    return {row.shot: row.saved for row in rows}
