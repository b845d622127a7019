"""Campaigns: the jobs of one bulk order, approved once, under one cap, and kept up with the rows of their source."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Table, case, exists, func, insert, or_, select, update

from aiprod.budgets import LOCK_ORDER, Cap
from aiprod.ledger import caps, jobs, outbox
from aiprod.ledger.insertion import insert_once
from aiprod.ledger.job_status import VERSION
from aiprod.ledger.schema import campaign_rows, campaigns, deliveries, queue, runs
from aiprod.ledger.schema import caps as cap_rows
from aiprod.ledger.schema import jobs as job_rows
from aiprod.models import Micros, Noun

__all__ = [
    "Row",
    "Stands",
    "Terms",
    "Word",
    "active",
    "all_of",
    "approve",
    "approved_by",
    "cap_of",
    "enter_row",
    "held_back",
    "projects",
    "publish",
    "room",
    "rows",
    "say",
    "set_terms",
    "stands",
    "terms",
    "unfinished",
]


#: What can be said to a whole campaign.
Word = Literal["paused", "resumed", "cancelled"]
#: How a job of a campaign stands.
Stands = Literal["delivered", "cancelled", "waiting", "running", "failed"]
#: Something more happens to these by itself.
_GOING: tuple[Stands, ...] = ("waiting", "running")
#: Where running and failed are one.
_NO_MATTER = datetime(1970, 1, 1, tzinfo=UTC)


class Terms(Noun):
    """What was said of a campaign besides its money."""

    campaign: str
    source: str
    naming: str
    in_flight: int | None
    created_at: datetime
    created_by: str
    paused_at: datetime | None
    paused_by: str | None
    cancelled_at: datetime | None
    cancelled_by: str | None


class Row(Noun):
    """One revision of a row: which job it stands for, and the name its video was given.

    Several revisions may stand for one job: each is the newest version that was written before the row changed again.
    """

    row_key: str
    revision: int
    job_id: str
    line: int
    content_sha: str
    published: str | None


def approve(conn: Connection, campaign: str, amount: Micros, *, by: str) -> Micros:
    """Open a campaign's cap with what was approved; return the amount that stands, which may be an earlier one."""
    rank = LOCK_ORDER.index("campaign")
    row = {"kind": "campaign", "key": campaign, "stripe": 0, "lock_rank": rank, "cap": amount, "set_by": by}
    insert_once(conn, cap_rows, row)
    standing = caps.balance(conn, "campaign", campaign)
    assert standing is not None  # noqa: S101 - just inserted, or there before
    return standing.cap


def approved_by(conn: Connection, campaign: str) -> str | None:
    """Return who approved a campaign's amount as it stands, or None when nobody did."""
    return conn.execute(select(cap_rows.c.set_by).where(cap_rows.c.kind == "campaign", cap_rows.c.key == campaign)).scalar()


def cap_of(conn: Connection, job_id: str) -> Cap | None:
    """Return the campaign's cap that a job is under, or None for a job ordered by itself."""
    campaign = jobs.campaign_of(conn, job_id)
    found = None if campaign is None else caps.balance(conn, "campaign", campaign)
    return None if found is None else Cap(kind="campaign", key=found.key, cap=found.cap)


def set_terms(
    conn: Connection, campaign: str, *, source: str, naming: str, in_flight: int | None, by: str, now: datetime
) -> None:
    """Write down what a campaign is made from and how; a later word on these replaces the earlier one."""
    said = {"source": source, "naming": naming, "in_flight": in_flight}
    if not insert_once(conn, campaigns, {"campaign": campaign, **said, "created_at": now, "created_by": by}):
        conn.execute(update(campaigns).where(campaigns.c.campaign == campaign).values(**said))


def terms(conn: Connection, campaign: str) -> Terms | None:
    """Return what was said of a campaign, or None for one that has no source."""
    row = conn.execute(select(campaigns).where(campaigns.c.campaign == campaign)).mappings().first()
    return None if row is None else Terms(**row)


def say(conn: Connection, campaign: str, word: Word, *, by: str, now: datetime) -> bool:
    """Pause a campaign, let it go on, or cancel it for good; return whether that is new. What is cancelled stays so.

    While it is paused or cancelled no job of it is started; those that a run carries go on.
    """
    going = campaigns.c.cancelled_at.is_(None)
    changes: dict[Word, tuple[str, ColumnElement[bool], dict[str, Any]]] = {
        "paused": ("campaign_paused", going & campaigns.c.paused_at.is_(None), {"paused_at": now, "paused_by": by}),
        "resumed": ("campaign_resumed", going & campaigns.c.paused_at.is_not(None), {"paused_at": None, "paused_by": None}),
        "cancelled": ("campaign_cancelled", going, {"cancelled_at": now, "cancelled_by": by}),
    }
    topic, condition, values = changes[word]
    changed = update(campaigns).where(campaigns.c.campaign == campaign, condition).values(**values)
    if conn.execute(changed).rowcount != 1:
        return False
    outbox.emit(conn, f"{topic}.{campaign}.{now.isoformat()}", topic, now=now, campaign=campaign, by=by)
    return True


def projects(conn: Connection, campaign: str) -> set[str]:
    """Return the projects that pay for a campaign's jobs."""
    return set(conn.execute(select(job_rows.c.project).where(job_rows.c.campaign == campaign).distinct()).scalars())


def all_of(conn: Connection) -> list[str]:
    """Return every campaign that was approved, by name."""
    return list(conn.execute(select(cap_rows.c.key).where(cap_rows.c.kind == "campaign").order_by(cap_rows.c.key)).scalars())


def held_back() -> ColumnElement[bool]:
    """That a job's campaign is paused or cancelled, as a condition on the row of `jobs`."""
    shut = or_(campaigns.c.paused_at.is_not(None), campaigns.c.cancelled_at.is_not(None))
    return exists().where(campaigns.c.campaign == job_rows.c.campaign, shut)


def rows(conn: Connection, campaign: str, keys: Collection[str] | None = None) -> list[Row]:
    """Return every revision of a campaign's rows, or of those with these keys, the oldest of each row first."""
    statement = select(campaign_rows).where(campaign_rows.c.campaign == campaign)
    if keys is not None:
        statement = statement.where(campaign_rows.c.row_key.in_(keys))
    statement = statement.order_by(campaign_rows.c.line, campaign_rows.c.row_key, campaign_rows.c.revision)
    return [Row(**{name: row[name] for name in Row.model_fields}) for row in conn.execute(statement).mappings()]


def enter_row(conn: Connection, campaign: str, row: Row, *, now: datetime) -> None:
    """Note which job a revision of a row stands for."""
    conn.execute(insert(campaign_rows).values(campaign=campaign, entered_at=now, **row.model_dump()))


def publish(conn: Connection, campaign: str, row: Row, name: str) -> None:
    """Note the name that a row's video was given."""
    key = (campaign_rows.c.campaign == campaign, campaign_rows.c.row_key == row.row_key)
    conn.execute(update(campaign_rows).where(*key, campaign_rows.c.revision == row.revision).values(published=name))


def stands(*, since: datetime) -> ColumnElement[str]:
    """Return how the newest version of the job of the row stands, one of `Stands`, for a statement over `jobs`.

    What failed goes on no more by itself. A run that began before `since` and never ended is not waited for.
    """
    mine = job_rows.c.job_id

    def there(table: Table, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
        # Of the row of `jobs` alone, whatever else the statement is over.
        return select(table.c.job_id).where(table.c.job_id == mine, *conditions).correlate(job_rows).exists()

    return case(
        (there(deliveries, deliveries.c.version == VERSION), "delivered"),
        (job_rows.c.cancelled_at.is_not(None), "cancelled"),
        (there(queue), "waiting"),
        (there(runs, runs.c.settled_at.is_(None), runs.c.started_at > since), "running"),
        else_="failed",
    )


def active(conn: Connection, campaign: str, *, since: datetime) -> list[str]:
    """Return the jobs of a campaign to which something more happens by itself. With none left it is over."""
    return _that(conn, campaign, stands(since=since).in_(_GOING))


def unfinished(conn: Connection, campaign: str) -> list[str]:
    """Return the jobs of a campaign whose newest version was not delivered, those that are cancelled left out."""
    return _that(conn, campaign, stands(since=_NO_MATTER).not_in(("delivered", "cancelled")))


def _that(conn: Connection, campaign: str, condition: ColumnElement[bool]) -> list[str]:
    found = select(job_rows.c.job_id).where(job_rows.c.campaign == campaign, condition)
    return list(conn.execute(found.order_by(job_rows.c.created_at, job_rows.c.job_id)).scalars())


def room(conn: Connection, *, since: datetime) -> dict[str, int]:
    """How many more jobs may go through runs, for each campaign that said how many at the same time.

    A run that began before `since` and never ended is not counted.
    """
    carried = (
        select(job_rows.c.campaign, func.count(runs.c.job_id.distinct()).label("jobs"))
        .join(runs, runs.c.job_id == job_rows.c.job_id)
        .where(runs.c.settled_at.is_(None), runs.c.started_at > since)
        .group_by(job_rows.c.campaign)
        .subquery()
    )
    bounded = select(campaigns.c.campaign, campaigns.c.in_flight, func.coalesce(carried.c.jobs, 0).label("jobs"))
    bounded = bounded.outerjoin(carried, carried.c.campaign == campaigns.c.campaign).where(campaigns.c.in_flight.is_not(None))
    return {row.campaign: row.in_flight - row.jobs for row in conn.execute(bounded)}
