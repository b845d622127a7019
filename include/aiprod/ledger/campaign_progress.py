"""How far campaigns are: how many of their jobs stand where, and what they cost. Three statements, however many campaigns."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, exists, func, select

from aiprod.ledger.campaigns import stands
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.queue import ABANDONED
from aiprod.ledger.schema import campaign_rows, campaigns, caps
from aiprod.ledger.schema import jobs as job_rows
from aiprod.models import Micros, Noun

__all__ = ["Progress", "progress"]


class Progress(Noun):
    """One campaign. Jobs of its newest rows by where they stand; amounts in micro-dollars, `approved` 0: by nobody yet."""

    campaign: str
    began_at: datetime
    created_by: str | None
    paused_by: str | None
    cancelled_by: str | None
    #: Whether it is kept up with a source: only such a campaign can be paused or cancelled as a whole.
    sourced: bool
    delivered: int
    #: In a run.
    running: int
    waiting: int
    failed: int
    cancelled: int
    approved: Micros
    held: Micros
    charged: Micros

    @property
    def jobs(self) -> int:
        return self.delivered + self.running + self.waiting + self.failed + self.cancelled

    @property
    def going(self) -> bool:
        """Whether anything more will happen by itself, or would if it were not paused."""
        return bool(self.running or self.waiting) and self.cancelled_by is None

    @property
    def left(self) -> Micros:
        return max(0, self.approved - self.held - self.charged)


def progress(
    conn: Connection, *, campaign: str | None = None, hidden_projects: Collection[str] = (), limit: int = 50
) -> list[Progress]:
    """Return campaigns, the newest first, or the one that is named.

    A campaign with a job in one of `hidden_projects` is left out altogether: its name and its money are not for everybody.
    """
    began = func.min(job_rows.c.created_at, type_=job_rows.c.created_at.type).label("began_at")
    wanted = [job_rows.c.campaign.is_not(None) if campaign is None else job_rows.c.campaign == campaign]
    newest = select(job_rows.c.campaign, began).where(*wanted).group_by(job_rows.c.campaign).order_by(began.desc())
    if hidden_projects:
        hidden = func.sum(case((job_rows.c.project.in_(hidden_projects), 1), else_=0))
        newest = newest.having(hidden == 0)
    began_at = {row.campaign: row.began_at for row in conn.execute(newest.limit(limit))}
    counts, said, money = _counts(conn, list(began_at)), _said(conn, list(began_at)), _money(conn, list(began_at))
    return [_progress(name, at, counts[name], said.get(name), money.get(name)) for name, at in began_at.items()]


def _progress(name: str, began_at: datetime, counts: dict[str, int], said: Any, money: Any) -> Progress:
    return Progress(
        campaign=name,
        began_at=began_at,
        created_by=said["created_by"] if said else None,
        paused_by=said["paused_by"] if said else None,
        cancelled_by=said["cancelled_by"] if said else None,
        sourced=said is not None,
        delivered=counts.get("delivered", 0),
        running=counts.get("running", 0),
        waiting=counts.get("waiting", 0),
        failed=counts.get("failed", 0),
        cancelled=counts.get("cancelled", 0),
        approved=money["cap"] if money else 0,
        held=money["reserved"] if money else 0,
        charged=money["settled"] if money else 0,
    )


def _counts(conn: Connection, names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Jobs by where they stand, for each campaign."""
    state = stands(since=database_now(conn) - ABANDONED).label("state")
    counted = (
        select(job_rows.c.campaign, state, func.count().label("jobs"))
        .where(job_rows.c.campaign.in_(names), ~_replaced())
        .group_by(job_rows.c.campaign, state)
    )
    found: dict[str, dict[str, int]] = {name: {} for name in names}
    for row in conn.execute(counted):
        found[row.campaign][row.state] = row.jobs
    return found


def _replaced() -> ColumnElement[bool]:
    """That a later revision of its row took the place of the job of the row."""
    own, later = campaign_rows.alias("own"), campaign_rows.alias("later")
    same = and_(later.c.campaign == own.c.campaign, later.c.row_key == own.c.row_key)
    newer = (same, later.c.revision > own.c.revision, later.c.job_id != own.c.job_id)
    return exists().where(own.c.job_id == job_rows.c.job_id, *newer)


def _said(conn: Connection, names: Sequence[str]) -> dict[str, Any]:
    asked = select(campaigns).where(campaigns.c.campaign.in_(names))
    return {row["campaign"]: row for row in conn.execute(asked).mappings()}


def _money(conn: Connection, names: Sequence[str]) -> dict[str, Any]:
    asked = select(caps).where(caps.c.kind == "campaign", caps.c.key.in_(names))
    return {row["key"]: row for row in conn.execute(asked).mappings()}
