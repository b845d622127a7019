"""How campaigns stand: one event in a while for each, instead of one for each of their jobs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import get_args

from sqlalchemy import Connection, func, select

from aiprod.ledger import outbox
from aiprod.ledger.campaigns import Stands, stands
from aiprod.ledger.queue import ABANDONED
from aiprod.ledger.schema import deliveries, failures, jobs, purchases
from aiprod.ledger.schema import outbox as events
from aiprod.models import Micros, Noun, fingerprint

__all__ = ["EVERY", "Digest", "digest", "standings"]

TOPIC = "campaign_digest"
#: At most one per campaign and hour, unless it is over.
EVERY = timedelta(hours=1)
#: A campaign in which nothing happened for longer is told of no more.
_QUIET = timedelta(days=2)


class Digest(Noun):
    """One campaign: how many of its jobs stand how, as `campaigns.Stands` has it. `cost` in micro-dollars."""

    campaign: str
    jobs: int
    delivered: int
    waiting: int
    running: int
    failed: int
    cancelled: int
    cost: Micros

    @property
    def over(self) -> bool:
        """Whether nothing more will happen by itself."""
        return not self.waiting and not self.running


def standings(conn: Connection, *, now: datetime) -> list[Digest]:
    """Return the campaigns that there is still something to tell of, as they stand: a job was delivered or failed lately."""
    since = now - _QUIET
    moved = (
        select(jobs.c.campaign)
        .join(deliveries, deliveries.c.job_id == jobs.c.job_id)
        .where(jobs.c.campaign.is_not(None), deliveries.c.delivered_at > since)
        .union(
            select(jobs.c.campaign)
            .join(failures, failures.c.job_id == jobs.c.job_id)
            .where(jobs.c.campaign.is_not(None), failures.c.at > since)
        )
    )
    return [_standing(conn, str(name), now) for name in conn.execute(moved).scalars().all()]


def digest(conn: Connection, *, now: datetime) -> list[Digest]:
    """Write an event for every campaign that stands otherwise than it was told last; return what was told."""
    told = []
    for standing in standings(conn, now=now):
        prefix = f"{TOPIC}.{fingerprint(standing.campaign)[:16]}."
        key = f"{prefix}{fingerprint(standing.model_dump())[:16]}"
        mine = select(func.max(events.c.created_at)).where(events.c.event_key.startswith(prefix, autoescape=True))
        last = conn.execute(mine).scalar()
        known = conn.execute(select(events.c.id).where(events.c.event_key == key)).first() is not None
        if not known and (last is None or last <= now - EVERY or standing.over):
            said = standing.model_dump(exclude={"cost"})
            outbox.emit(conn, key, TOPIC, now=now, cost_micros=standing.cost, over=standing.over, **said)
            told.append(standing)
    return told


def _standing(conn: Connection, campaign: str, now: datetime) -> Digest:
    mine = jobs.c.campaign == campaign
    how = stands(since=now - ABANDONED).label("how")
    each = select(how).where(mine).subquery()
    counts = {row.how: row.jobs for row in conn.execute(select(each.c.how, func.count().label("jobs")).group_by(each.c.how))}
    ours = select(jobs.c.job_id).where(mine)
    cost = select(func.coalesce(func.sum(purchases.c.charged), 0)).where(purchases.c.job_id.in_(ours))
    return Digest(
        campaign=campaign,
        jobs=sum(counts.values()),
        cost=int(conn.execute(cost).scalar_one()),
        **{name: counts.get(name, 0) for name in get_args(Stands)},
    )
