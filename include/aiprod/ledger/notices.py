"""Who is told of an event: one row per channel, taken by one relay at a time, tried again for a day, then given up.

An event goes out alone, or with others of its kind as one message. A message keeps its id over every try, so that a
receiver can drop what it has: it may have taken a message whose answer was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, func, insert, select, text, update

from aiprod.errors import JobFailed
from aiprod.ledger import jobs, outbox, purchases
from aiprod.ledger.outbox import Event
from aiprod.ledger.schema import jobs as job_rows
from aiprod.ledger.schema import notices
from aiprod.ledger.schema import outbox as events
from aiprod.ledger.schema import purchases as purchase_rows
from aiprod.models import Noun, fingerprint

__all__ = ["LEASE", "MANY", "TRIES", "About", "Claimed", "Undelivered", "about", "claim", "drop", "due", "failed", "given_up"]
__all__ += ["sent", "spread"]

#: A relay that took a message and died lets go of it after this long: longer than any sender takes.
LEASE = timedelta(minutes=5)
#: From this many of one topic on, written within this long, events go out together; so many at most.
MANY, WITHIN, MOST = 5, timedelta(minutes=1), 100
#: Tried after 1, 2, 4, … minutes, then every hour: a day in all.
TRIES = 30
_LONGEST = timedelta(hours=1)
#: Of the prompt: enough to know the job again.
_TITLE = 40


class About(Noun):
    """What an event is about: a job, its project and the first words of its prompt; empty where it is about none."""

    job_id: str = ""
    project: str | None = None
    title: str = ""


class Claimed(Noun):
    """One message for one channel: its id for the receiver, and the events in it, oldest first."""

    message: str
    events: tuple[Event, ...]


class Undelivered(Noun):
    """An event that a channel did not take, however often it was tried."""

    event_key: str
    topic: str
    created_at: datetime
    channel: str
    tries: int
    trouble: str | None


def spread(conn: Connection, channels_for: Callable[[str, str | None], tuple[str, ...]], *, now: datetime) -> int:
    """Put waiting events, a hundred at most, before every channel that is to be told; return how many.

    In one transaction: an event leaves the outbox when, and only when, its notices are written.
    """
    waiting = outbox.claim(conn, now=now)
    projects = _projects(conn, waiting)
    wanted = [(e.event_key, channel) for e in waiting for channel in channels_for(e.topic, projects.get(e.event_key))]
    if wanted:
        conn.execute(insert(notices), [{"event_key": e, "channel": c, "tries": 0, "next_at": now} for e, c in wanted])
    outbox.delivered(conn, [event.event_key for event in waiting], now=now)
    return len(waiting)


def _projects(conn: Connection, waiting: Sequence[Event]) -> dict[str, str]:
    """Whose budget pays for what events are about, by the event's key."""
    bought = {str(e.payload["purchase_id"]) for e in waiting if "purchase_id" in e.payload}
    jobs_of = select(purchase_rows.c.purchase_id, purchase_rows.c.job_id).where(purchase_rows.c.purchase_id.in_(bought))
    by_purchase = {row.purchase_id: row.job_id for row in conn.execute(jobs_of)} if bought else {}
    about_job = {e.event_key: e.payload.get("job_id") or by_purchase.get(str(e.payload.get("purchase_id"))) for e in waiting}
    paying = select(job_rows.c.job_id, job_rows.c.project).where(job_rows.c.job_id.in_(set(filter(None, about_job.values()))))
    projects = {row.job_id: row.project for row in conn.execute(paying)}
    return {key: projects[job_id] for key, job_id in about_job.items() if job_id in projects}


def about(conn: Connection, event: Event) -> About:
    """Return what an event is about."""
    job_id = event.payload.get("job_id")
    if job_id is None and "purchase_id" in event.payload:
        purchase = purchases.get(conn, str(event.payload["purchase_id"]))
        job_id = purchase.job_id if purchase else None
    if job_id is None:
        return About()
    project = conn.execute(select(job_rows.c.project).where(job_rows.c.job_id == job_id)).scalar()
    try:
        spec = jobs.spec(conn, job_id)
    except JobFailed:
        return About(job_id=job_id)
    prompt = " ".join(spec.words.split())
    return About(job_id=job_id, project=project, title=prompt if len(prompt) <= _TITLE else f"{prompt[: _TITLE - 1]}…")


def due(conn: Connection, *, now: datetime) -> list[str]:
    """Return the channels that something is due for."""
    return sorted(conn.execute(select(notices.c.channel).where(notices.c.next_at <= now).distinct()).scalars())


def claim(conn: Connection, channel: str, *, now: datetime) -> Claimed | None:
    """Take the message for a channel that has been due longest, for a while; None when nothing is.

    No two relays hold the same one, unless the first has not said for `LEASE` what became of it.
    """
    if conn.dialect.name == "postgresql":
        # A message is taken whole: two that take at once would each get a part of it.
        conn.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"aiprod notices {channel}"})
    is_due = and_(notices.c.channel == channel, notices.c.next_at <= now)
    conn.execute(update(notices).where(is_due, notices.c.tries >= TRIES).values(next_at=None))
    look = select(notices.c.message, events).join(events, events.c.event_key == notices.c.event_key)
    first = conn.execute(look.where(is_due).order_by(notices.c.next_at, events.c.created_at, events.c.id).limit(1)).first()
    if first is None:
        return None
    if first.message is not None:
        mine = and_(notices.c.channel == channel, notices.c.message == first.message, notices.c.sent_at.is_(None))
    else:
        span = and_(events.c.created_at >= first.created_at, events.c.created_at < first.created_at + WITHIN)
        mine = and_(is_due, notices.c.message.is_(None), events.c.topic == first.topic, span)
    rows = conn.execute(look.where(mine).order_by(events.c.created_at, events.c.id).limit(MOST)).all()
    if first.message is None and len(rows) < MANY:
        rows = [first]
    keys = [row.event_key for row in rows]
    message = first.message or f"msg_{fingerprint([channel, keys])[:32]}"
    taken = update(notices).where(notices.c.channel == channel, notices.c.event_key.in_(keys))
    conn.execute(taken.values(message=message, tries=notices.c.tries + 1, next_at=now + LEASE))
    return Claimed(message=message, events=tuple(outbox.event(row._mapping) for row in rows))


def sent(conn: Connection, channel: str, message: str, *, now: datetime) -> None:
    """Note that a channel took a message."""
    mine = and_(notices.c.channel == channel, notices.c.message == message, notices.c.sent_at.is_(None))
    conn.execute(update(notices).where(mine).values(sent_at=now, next_at=None, trouble=None))


def failed(conn: Connection, channel: str, message: str, why: str, *, now: datetime) -> bool:
    """Note that a channel did not take a message, and when it is tried again. Returns whether it is given up instead."""
    mine = and_(notices.c.channel == channel, notices.c.message == message, notices.c.sent_at.is_(None))
    tries = conn.execute(select(func.max(notices.c.tries)).where(mine)).scalar() or 0
    over = tries >= TRIES
    again = None if over else now + min(timedelta(minutes=2 ** min(tries - 1, 10)), _LONGEST)
    conn.execute(update(notices).where(mine).values(next_at=again, trouble=why))
    return over


def drop(conn: Connection, channel: str, why: str) -> int:
    """Give up everything that is due for a channel; return how many events that is."""
    left = update(notices).where(notices.c.channel == channel, notices.c.next_at.is_not(None))
    return conn.execute(left.values(next_at=None, trouble=why)).rowcount


def given_up(conn: Connection, *, limit: int = 100) -> list[Undelivered]:
    """Return events that were given up, by channel."""
    said = select(notices, events.c.topic, events.c.created_at).join(events, events.c.event_key == notices.c.event_key)
    rows = said.where(notices.c.next_at.is_(None), notices.c.sent_at.is_(None))
    found = conn.execute(rows.order_by(notices.c.channel, notices.c.event_key).limit(limit)).mappings()
    return [Undelivered(**{name: row[name] for name in Undelivered.model_fields}) for row in found]
