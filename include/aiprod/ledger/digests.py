"""How campaigns stand: one event in a while for each, instead of one for each of their jobs."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Table, distinct, func, select

from aiprod.ledger import outbox
from aiprod.ledger.schema import deliveries, failures, jobs, purchases, queue
from aiprod.ledger.schema import outbox as events
from aiprod.models import Micros, Noun, fingerprint

__all__ = ["EVERY", "Digest", "digest", "standings"]

TOPIC = "campaign_digest"
#: At most one per campaign and hour, unless it is over.
EVERY = timedelta(hours=1)
#: A campaign in which nothing happened for longer is told of no more.
_QUIET = timedelta(days=2)


class Digest(Noun):
    """One campaign: how many of its jobs were delivered, wait, or failed and do not wait. `cost` in micro-dollars."""

    campaign: str
    jobs: int
    delivered: int
    waiting: int
    failed: int
    cost: Micros

    @property
    def over(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.delivered + self.failed >= self.jobs and not self.waiting


def standings(conn: Connection, *, since: datetime) -> list[Digest]:
    """Return the campaigns in which a job was delivered or failed since a moment."""
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
    return [_standing(conn, str(name)) for name in conn.execute(moved).scalars().all()]


def digest(conn: Connection, *, now: datetime) -> list[Digest]:
    """Write an event for every campaign that stands otherwise than it was told last; return what was told."""
    told = []
    for standing in standings(conn, since=now - _QUIET):
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


def _standing(conn: Connection, campaign: str) -> Digest:
    ours = select(jobs.c.job_id).where(jobs.c.campaign == campaign)

    def count(table: Table, *conditions: ColumnElement[bool]) -> int:
        counted = select(func.count(distinct(table.c.job_id))).where(table.c.job_id.in_(ours), *conditions)
        return int(conn.execute(counted).scalar_one())

    done = select(deliveries.c.job_id)
    waits = select(queue.c.job_id)
    cost = select(func.coalesce(func.sum(purchases.c.charged), 0)).where(purchases.c.job_id.in_(ours))
    return Digest(
        campaign=campaign,
        jobs=count(jobs),
        delivered=count(deliveries),
        waiting=count(queue),
        failed=count(failures, failures.c.job_id.not_in(done), failures.c.job_id.not_in(waits)),
        cost=int(conn.execute(cost).scalar_one()),
    )
