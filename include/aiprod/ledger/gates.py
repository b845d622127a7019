"""What can shut the paying door: the kill switch, a cancelled job, an envelope that ran out. Read at hold and claim."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Select, delete, exists, or_, select, update

from aiprod.errors import PurchasingStopped
from aiprod.ledger import outbox
from aiprod.ledger.insertion import insert_once
from aiprod.ledger.schema import jobs, meta
from aiprod.models import Envelope, Noun

__all__ = ["Stopped", "cancel_job", "open_purchasing", "require_open", "shut", "stop_purchasing", "stopped", "switch"]

_SWITCH = "purchasing_stopped"


class Stopped(Noun):
    """The kill switch, pulled."""

    why: str
    by: str
    since: datetime


def require_open(conn: Connection, envelope: Envelope, *, now: datetime) -> None:
    """Raise `PurchasingStopped` unless this envelope may be spent from now."""
    why = stopped(conn)
    if why is not None:
        raise PurchasingStopped(f"purchasing is stopped: {why}")
    cancelled = conn.execute(select(jobs.c.cancelled_at, jobs.c.cancelled_by).where(jobs.c.job_id == envelope.job_id)).first()
    if cancelled is not None and cancelled.cancelled_at is not None:
        raise PurchasingStopped(f"job {envelope.job_id} was cancelled by {cancelled.cancelled_by}")
    if envelope.expires_at <= now:
        raise PurchasingStopped(f"the approval of job {envelope.job_id} ran out at {envelope.expires_at:%Y-%m-%d %H:%M} UTC")


def shut(job_ids: Select[str]) -> ColumnElement[bool]:
    """The switch and any job's cancellation as a condition, for a statement that must not spend past them."""
    cancelled = exists().where(jobs.c.job_id.in_(job_ids), jobs.c.cancelled_at.is_not(None))
    return or_(exists().where(meta.c.key == _SWITCH), cancelled)


def stopped(conn: Connection) -> str | None:
    """Why nothing may be bought at all, or None."""
    return conn.execute(select(meta.c.value).where(meta.c.key == _SWITCH)).scalar()


def switch(conn: Connection) -> Stopped | None:
    """Who pulled the kill switch, when and why; None while purchasing is open."""
    row = conn.execute(select(meta).where(meta.c.key == _SWITCH)).first()
    return None if row is None else Stopped(why=row.value, by=row.changed_by, since=row.changed_at)


def stop_purchasing(conn: Connection, why: str, *, by: str, now: datetime) -> bool:
    """Shut the door for everybody, at the next hold and at the next request. Returns whether it was open before.

    The first reason stands until the door is opened.
    """
    stopped_now = insert_once(conn, meta, {"key": _SWITCH, "value": why, "changed_at": now, "changed_by": by})
    if stopped_now:
        outbox.emit(conn, f"purchasing_stopped.{now.isoformat()}", "purchasing_stopped", now=now, why=why, by=by)
    return stopped_now


def open_purchasing(conn: Connection, *, by: str, now: datetime) -> bool:
    """Open the door again. Returns whether it was shut before."""
    opened_now = conn.execute(delete(meta).where(meta.c.key == _SWITCH)).rowcount == 1
    if opened_now:
        outbox.emit(conn, f"purchasing_opened.{now.isoformat()}", "purchasing_opened", now=now, by=by)
    return opened_now


def cancel_job(conn: Connection, job_id: str, *, by: str, now: datetime) -> bool:
    """Flag a job: nothing more is held or sent for it. Returns whether it was not cancelled before."""
    flagged = conn.execute(
        update(jobs).where(jobs.c.job_id == job_id, jobs.c.cancelled_at.is_(None)).values(cancelled_at=now, cancelled_by=by)
    )
    if flagged.rowcount == 1:
        outbox.emit(conn, f"{job_id}.cancelled", "job_cancelled", now=now, job_id=job_id, by=by)
    return flagged.rowcount == 1
