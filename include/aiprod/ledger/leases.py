"""Who may do for a while what one process at a time does."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, or_, update

from aiprod.ledger.insertion import insert_once
from aiprod.ledger.schema import leases

__all__ = ["release", "take"]


def take(conn: Connection, name: str, owner: str, *, lasts: timedelta, now: datetime) -> bool:
    """Take a lease that is free, has run out, or is the owner's own; return whether it is the owner's now."""
    until = now + lasts
    if insert_once(conn, leases, {"name": name, "owner": owner, "expires_at": until}):
        return True
    free = or_(leases.c.owner == owner, leases.c.expires_at <= now)
    return conn.execute(update(leases).where(leases.c.name == name, free).values(owner=owner, expires_at=until)).rowcount == 1


def release(conn: Connection, name: str, owner: str) -> None:
    """Give a lease back, if it is still the owner's."""
    conn.execute(delete(leases).where(leases.c.name == name, leases.c.owner == owner))
