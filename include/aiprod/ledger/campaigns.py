"""Campaigns: the jobs of one bulk order, approved once, under one cap."""

from __future__ import annotations

from sqlalchemy import Connection

from aiprod.budgets import LOCK_ORDER, Cap
from aiprod.ledger import caps, jobs
from aiprod.ledger.insertion import insert_once
from aiprod.ledger.schema import caps as cap_rows
from aiprod.models import Micros

__all__ = ["approve", "cap_of"]


def approve(conn: Connection, campaign: str, amount: Micros, *, by: str) -> Micros:
    """Open a campaign's cap with what was approved; return the amount that stands, which may be an earlier one."""
    rank = LOCK_ORDER.index("campaign")
    row = {"kind": "campaign", "key": campaign, "stripe": 0, "lock_rank": rank, "cap": amount, "set_by": by}
    insert_once(conn, cap_rows, row)
    standing = caps.balance(conn, "campaign", campaign)
    assert standing is not None  # noqa: S101 - just inserted, or there before
    return standing.cap


def cap_of(conn: Connection, job_id: str) -> Cap | None:
    """Return the campaign's cap that a job is under, or None for a job ordered by itself."""
    campaign = jobs.campaign_of(conn, job_id)
    found = None if campaign is None else caps.balance(conn, "campaign", campaign)
    return None if found is None else Cap(kind="campaign", key=found.key, cap=found.cap)
