"""Alerts as the ledger has them: pending while a condition has not held long enough, raised once, resolved once."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, delete, select, update

from aiprod.ledger import outbox
from aiprod.ledger.insertion import insert_once
from aiprod.ledger.schema import alerts
from aiprod.models import Noun

__all__ = ["Alert", "Happening", "latest", "note", "of_now", "raise_", "resolve"]


class Happening(Noun):
    """One condition that holds: of which alert, for what subject, and by how much."""

    alert: str
    #: What of it: a backend's name, say. Empty where the alert is about the whole house.
    subject: str
    severity: Literal["warning", "critical"]
    message: str
    what_to_do: str
    value: float
    threshold: float


class Alert(Noun):
    """One time that a condition held. Pending without `raised_at`, over with `resolved_at`."""

    alert_id: int
    alert: str
    subject: str
    severity: Literal["warning", "critical"]
    message: str
    value: float
    threshold: float
    since: datetime
    raised_at: datetime | None
    resolved_at: datetime | None


def of_now(conn: Connection) -> list[Alert]:
    """Return the alerts that are pending or raised, oldest first."""
    found = conn.execute(select(alerts).where(alerts.c.resolved_at.is_(None)).order_by(alerts.c.since, alerts.c.alert_id))
    return [Alert(**row) for row in found.mappings()]


def latest(conn: Connection, *, limit: int = 100) -> list[Alert]:
    """Return the alerts that were raised, newest first, those that are over too."""
    raised = select(alerts).where(alerts.c.raised_at.is_not(None)).order_by(alerts.c.alert_id.desc()).limit(limit)
    return [Alert(**row) for row in conn.execute(raised).mappings()]


def note(conn: Connection, seen: Happening, *, now: datetime) -> Alert:
    """Write down that a condition holds, or by how much by now; return the alert it belongs to."""
    shown = {"severity": seen.severity, "message": seen.message, "value": seen.value, "threshold": seen.threshold}
    of = (alerts.c.alert == seen.alert) & (alerts.c.subject == seen.subject) & alerts.c.resolved_at.is_(None)
    if not insert_once(conn, alerts, {"alert": seen.alert, "subject": seen.subject, "since": now, **shown}):
        conn.execute(update(alerts).where(of).values(**shown))
    return Alert(**conn.execute(select(alerts).where(of)).mappings().one())


def raise_(conn: Connection, alert: Alert, seen: Happening, *, now: datetime) -> bool:
    """Raise a pending alert and tell the outside, in one transaction; return whether it was this call that did."""
    pending = (alerts.c.alert_id == alert.alert_id) & alerts.c.raised_at.is_(None) & alerts.c.resolved_at.is_(None)
    if conn.execute(update(alerts).where(pending).values(raised_at=now)).rowcount != 1:
        return False
    _tell(conn, "alert_raised", alert, what_to_do=seen.what_to_do, message=seen.message, value=seen.value, now=now)
    return True


def resolve(conn: Connection, alert: Alert, *, what_to_do: str, now: datetime) -> bool:
    """End an alert whose condition holds no more; return whether this call did. What was only pending is forgotten."""
    if alert.raised_at is None:
        pending = (alerts.c.alert_id == alert.alert_id) & alerts.c.raised_at.is_(None)
        return conn.execute(delete(alerts).where(pending)).rowcount == 1
    still = (alerts.c.alert_id == alert.alert_id) & alerts.c.resolved_at.is_(None)
    if conn.execute(update(alerts).where(still).values(resolved_at=now)).rowcount != 1:
        return False
    _tell(conn, "alert_resolved", alert, what_to_do=what_to_do, message=alert.message, value=alert.value, now=now)
    return True


def _tell(conn: Connection, topic: str, alert: Alert, *, what_to_do: str, message: str, value: float, now: datetime) -> None:
    outbox.emit(
        conn,
        f"{topic}.{alert.alert_id}",
        topic,
        now=now,
        alert=alert.alert,
        subject=alert.subject,
        severity=alert.severity,
        message=message,
        what_to_do=what_to_do,
        value=value,
        threshold=alert.threshold,
        since=alert.since.isoformat(),
    )
