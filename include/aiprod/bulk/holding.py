"""A word about a whole campaign: pause, go on, stop for good; and whether it is over."""

from __future__ import annotations

from contextlib import suppress
from typing import Literal

from aiprod import cancelling
from aiprod.batching import ready
from aiprod.catalog import Catalog
from aiprod.errors import JobFailed, JobMoved
from aiprod.ledger import Connection, Ledger, campaigns, queue
from aiprod.ledger.engine import now as database_now
from aiprod.models import Micros, Noun

__all__ = ["Cancelled", "cancel", "pause", "resume", "standing"]


class Cancelled(Noun):
    """What cancelling a campaign came to: `money` in micro-dollars was held and is given back; one line per render that ran."""

    fresh: bool
    jobs: int
    money: Micros
    renders: tuple[str, ...]


def pause(ledger: Ledger, campaign: str, *, by: str) -> bool:
    """Start no more jobs of a campaign. What a run carries already goes on, for it is paid. Returns whether that is new.

    Raises `JobFailed` for a campaign that the ledger does not know.
    """
    with ledger.write() as conn:
        _require(conn, campaign)
        return campaigns.pause(conn, campaign, by=by, now=database_now(conn))


def resume(ledger: Ledger, campaign: str, *, by: str) -> bool:
    """Start its jobs again. Returns whether it was paused. Raises `JobFailed` for an unknown or a cancelled campaign."""
    with ledger.write() as conn:
        terms = _require(conn, campaign)
        if terms.cancelled_at is not None:
            raise JobFailed(f"campaign {campaign} was cancelled by {terms.cancelled_by}; give a new one another name")
        return campaigns.resume(conn, campaign, by=by, now=database_now(conn))


def cancel(ledger: Ledger, catalog: Catalog, campaign: str, *, by: str) -> Cancelled:
    """Buy nothing more for a campaign, ever, and ask every vendor that renders for it to stop. What was delivered stays.

    Doing it again finishes what an interrupted time left. Raises `JobFailed` for a campaign that the ledger does not know.
    """
    with ledger.write() as conn:
        _require(conn, campaign)
        fresh = campaigns.cancel(conn, campaign, by=by, now=database_now(conn))
        left = campaigns.unfinished(conn, campaign)
    stopped = []
    for job_id in left:
        # What was delivered in between stays.
        with suppress(JobMoved):
            stopped.append(cancelling.cancel_job(ledger, catalog, job_id, by=by))
    renders = tuple(line for one in stopped for line in one.renders)
    return Cancelled(fresh=fresh, jobs=len(stopped), money=sum(one.money for one in stopped), renders=renders)


def standing(ledger: Ledger, catalog: Catalog, campaign: str) -> Literal["over", "ready", "waits"]:
    """Whether every job of a campaign is over, some job that waits (of whatever campaign) can go on now, or all have to wait."""
    with ledger.read() as conn:
        left = campaigns.active(conn, campaign, since=database_now(conn) - queue.ABANDONED)
    if not left:
        return "over"
    return "ready" if ready(ledger, catalog) else "waits"


def _require(conn: Connection, campaign: str) -> campaigns.Terms:
    terms = campaigns.terms(conn, campaign)
    if terms is None:
        raise JobFailed(f"campaign {campaign} is not in the ledger")
    return terms
