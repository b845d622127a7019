"""Whose jobs are: the project they were ordered for, and how many somebody has ordered."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select

from aiprod.ledger.schema import jobs

__all__ = ["entered_since", "project_of"]


def project_of(conn: Connection, job_id: str) -> str | None:
    """Return the project that a job was ordered for; None for an unknown job."""
    return conn.execute(select(jobs.c.project).where(jobs.c.job_id == job_id)).scalar()


def entered_since(conn: Connection, by: str, since: datetime) -> int:
    """Return how many jobs a person has ordered since then."""
    statement = select(func.count()).select_from(jobs).where(jobs.c.created_at >= since, jobs.c.created_by == by)
    return int(conn.execute(statement).scalar_one())
