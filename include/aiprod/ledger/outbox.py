"""Events, written in the same transaction as the row they tell of, delivered at least once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, or_, select, update

from aiprod.channels import TOPICS
from aiprod.ledger.insertion import insert_once
from aiprod.ledger.schema import notices, outbox
from aiprod.models import Noun

__all__ = ["Event", "claim", "delivered", "emit", "event", "prunable", "prune", "waiting"]

#: A relay that took events and died lets go of them after this long.
CLAIM = timedelta(seconds=30)


class Event(Noun):
    """One event for the outside; `event_key` lets the consumer drop repeats."""

    event_key: str
    topic: str
    payload: dict[str, Any]
    created_at: datetime


def emit(conn: Connection, event_key: str, topic: str, *, now: datetime, **payload: Any) -> None:
    """Write an event once per key. Raises `ValueError` for a topic that nobody could be told of."""
    if topic not in TOPICS:
        raise ValueError(f"no such topic: {topic}; channels.TOPICS has them all")
    text = json.dumps(payload, sort_keys=True)
    insert_once(conn, outbox, {"event_key": event_key, "topic": topic, "payload": text, "created_at": now})


def claim(conn: Connection, *, now: datetime, limit: int = 100) -> list[Event]:
    """T8: take undelivered events for a while. Two relays never hold the same one."""
    wanted = (
        select(outbox.c.id)
        .where(outbox.c.delivered_at.is_(None), or_(outbox.c.claimed_until.is_(None), outbox.c.claimed_until < now))
        .order_by(outbox.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = conn.execute(wanted).scalars().all()
    conn.execute(update(outbox).where(outbox.c.id.in_(ids)).values(claimed_until=now + CLAIM, tries=outbox.c.tries + 1))
    rows = conn.execute(select(outbox).where(outbox.c.id.in_(ids)).order_by(outbox.c.id)).mappings()
    return [event(row) for row in rows]


def event(row: Mapping[Any, Any]) -> Event:
    """Read an event off its row."""
    payload = json.loads(row["payload"])
    return Event(event_key=row["event_key"], topic=row["topic"], payload=payload, created_at=row["created_at"])


def waiting(conn: Connection, *, now: datetime) -> bool:
    """Whether there is an event to claim."""
    free = or_(outbox.c.claimed_until.is_(None), outbox.c.claimed_until < now)
    return conn.execute(select(outbox.c.id).where(outbox.c.delivered_at.is_(None), free).limit(1)).first() is not None


def delivered(conn: Connection, event_keys: list[str], *, now: datetime) -> None:
    """Mark events as delivered."""
    conn.execute(update(outbox).where(outbox.c.event_key.in_(event_keys)).values(delivered_at=now))


def prunable(conn: Connection, *, before: datetime) -> bool:
    """Whether an event was delivered before a time."""
    return conn.execute(select(outbox.c.id).where(outbox.c.delivered_at < before).limit(1)).first() is not None


def prune(conn: Connection, *, before: datetime, limit: int) -> int:
    """Delete up to `limit` events that were delivered before a time, the oldest first, and their notices; return how many.

    What nobody delivered is kept, however old.
    """
    oldest = select(outbox.c.id, outbox.c.event_key).where(outbox.c.delivered_at < before).order_by(outbox.c.id).limit(limit)
    rows = conn.execute(oldest).all()
    conn.execute(delete(notices).where(notices.c.event_key.in_([row.event_key for row in rows])))
    return conn.execute(delete(outbox).where(outbox.c.id.in_([row.id for row in rows]))).rowcount
