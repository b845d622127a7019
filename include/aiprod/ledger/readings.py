"""What a gauge shows, read from the rows as they stand: what waits, for how long, and what nobody looks after."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import Connection, and_, exists, func, select

from aiprod.ledger import parked
from aiprod.ledger.insertion import insert_once
from aiprod.ledger.schema import meta, notices, outbox, purchases, sightings

__all__ = ["ledger_id", "outbox_lag", "parked_ages", "unwatched_age"]

_ID = "ledger_id"


def ledger_id(conn: Connection, *, now: datetime) -> str:
    """Return the name of this ledger, made once: whoever writes its series writes under this name."""
    insert_once(conn, meta, {"key": _ID, "value": uuid.uuid4().hex, "changed_at": now, "changed_by": "aiprod"})
    return str(conn.execute(select(meta.c.value).where(meta.c.key == _ID)).scalar_one())


def parked_ages(conn: Connection, *, now: datetime) -> list[float]:
    """Return for how many seconds each purchase that a person can act on has waited, longest first."""
    since = [p.parked_at or p.closed_at or p.updated_at for p in parked.waiting(conn, now=now)]
    return sorted(((now - at).total_seconds() for at in since), reverse=True)


def unwatched_age(conn: Connection, *, now: datetime) -> float:
    """For how many seconds the running render that was left alone longest was not asked for; 0 when none runs.

    Also 0 while nobody writes down when renders are asked for: then nothing is known.
    """
    if conn.execute(select(sightings.c.backend).limit(1)).first() is None:
        return 0.0
    same = and_(sightings.c.backend == purchases.c.backend, sightings.c.vendor_id == purchases.c.vendor_id)
    seen = func.coalesce(sightings.c.seen_at, purchases.c.submitted_at)
    running = and_(purchases.c.state == "submitted", purchases.c.parked_at.is_(None), purchases.c.kind == "render")
    oldest = conn.execute(select(func.min(seen)).select_from(purchases.outerjoin(sightings, same)).where(running)).scalar()
    return 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())


def outbox_lag(conn: Connection, *, now: datetime) -> float:
    """Age in seconds of the oldest event that some channel waits for; 0 where no relay has ever taken one: nobody listens.

    What a channel did not take in a day was given up, and is waited for no more.
    """
    if not conn.execute(select(exists().where(outbox.c.tries > 0))).scalar():
        return 0.0
    # Two questions, for an index each: together they would read every event there is.
    oldest = select(func.min(outbox.c.created_at))
    untold = oldest.where(outbox.c.delivered_at.is_(None))
    refused = oldest.join(notices, notices.c.event_key == outbox.c.event_key).where(notices.c.next_at.is_not(None))
    found = [at for at in (conn.execute(asked).scalar() for asked in (untold, refused)) if at is not None]
    return max(0.0, (now - min(found)).total_seconds()) if found else 0.0
