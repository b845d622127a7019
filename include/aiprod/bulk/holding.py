"""A word about a whole campaign: pause, go on, stop for good; and whether it is over."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Literal

from aiprod import cancelling
from aiprod.batching import ready
from aiprod.bulk.naming import DEFAULT
from aiprod.catalog import Catalog
from aiprod.errors import JobMoved, JobUnknown
from aiprod.ledger import Connection, Ledger, campaigns, caps, queue
from aiprod.ledger.campaigns import Word
from aiprod.ledger.engine import now as database_now
from aiprod.models import Micros, Noun

__all__ = ["Said", "say", "standing"]


class Said(Noun):
    """What a word to a campaign came to. `money` in micro-dollars was held and is given back; one line per render that ran."""

    campaign: str
    word: Word
    #: Whether nobody had said it before.
    fresh: bool
    jobs: int = 0
    money: Micros = 0
    renders: tuple[str, ...] = ()


def say(ledger: Ledger, catalog: Catalog, campaign: str, word: Word, *, by: str) -> Said:
    """Pause a campaign (`paused`), let it go on (`resumed`), or buy nothing more for it, ever (`cancelled`).

    Paused, no more of its jobs are started; what a run carries goes on, for it is paid. Cancelled, every vendor that renders
    for it is asked to stop; what was delivered stays. Saying it again finishes what an interrupted time left. Raises
    `JobUnknown` for a campaign that the ledger does not know, and `JobMoved` for a word other than `cancelled` to one that is.
    """
    with ledger.write() as conn:
        now = database_now(conn)
        terms = _terms(conn, campaign, by=by, now=now)
        if terms.cancelled_at is not None and word != "cancelled":
            raise JobMoved(f"campaign {campaign} was cancelled by {terms.cancelled_by}; give a new one another name")
        fresh = campaigns.say(conn, campaign, word, by=by, now=now)
        left = campaigns.unfinished(conn, campaign) if word == "cancelled" else []
    stopped = []
    for job_id in left:
        # What was delivered in between stays.
        with suppress(JobMoved):
            stopped.append(cancelling.cancel_job(ledger, catalog, job_id, by=by))
    return Said(
        campaign=campaign,
        word=word,
        fresh=fresh,
        jobs=len(stopped),
        money=sum(one.money for one in stopped),
        renders=tuple(line for one in stopped for line in one.renders),
    )


def standing(ledger: Ledger, catalog: Catalog, campaign: str) -> Literal["over", "ready", "waits"]:
    """Whether every job of a campaign is over, some job that waits (of whatever campaign) can go on now, or all have to wait."""
    with ledger.read() as conn:
        left = campaigns.active(conn, campaign, since=database_now(conn) - queue.ABANDONED)
    if not left:
        return "over"
    return "ready" if ready(ledger, catalog) else "waits"


def _terms(conn: Connection, campaign: str, *, by: str, now: datetime) -> campaigns.Terms:
    """What was said of a campaign so far. One that was enlisted without a source is written down as it stands."""
    terms = campaigns.terms(conn, campaign)
    if terms is None:
        if caps.balance(conn, "campaign", campaign) is None:
            raise JobUnknown(f"campaign {campaign} is not in the ledger")
        campaigns.set_terms(conn, campaign, source="", naming=DEFAULT, in_flight=None, by=by, now=now)
        terms = campaigns.terms(conn, campaign)
    assert terms is not None  # noqa: S101 - just written
    return terms
