"""How each backend stands with us: its strikes, its pause, and what went wrong there lately."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from aiprod.errors import FailureKind
from aiprod.ledger.health import NO_STRIKE
from aiprod.ledger.schema import backend_health, jobs, postings, purchases
from aiprod.models import Noun

__all__ = ["Standing", "Trouble", "standings", "troubles"]

#: Of the newest failures; what a person reads is grouped and short.
_LOOKED_AT = 500


class Standing(Noun):
    """A backend's strikes in a row. Unhealthy from `unhealthy_since` until a purchase there succeeds."""

    strikes: int = 0
    unhealthy_since: datetime | None = None
    #: Until then one purchase tries whether it works again.
    probe_until: datetime | None = None


class Trouble(Noun):
    """One way in which a backend failed: how often in the period, when last, and what it said then."""

    failure: str
    #: Whether it counts against the backend's health: not, where the request or our account was at fault.
    strike: bool
    times: int
    last_at: datetime
    message: str


def standings(conn: Connection) -> Mapping[str, Standing]:
    """Return every backend that was ever observed; one that is missing has no strike."""
    names = ("strikes", "unhealthy_since", "probe_until")
    rows = conn.execute(select(backend_health)).mappings()
    return {row["backend"]: Standing(**{name: row[name] for name in names}) for row in rows}


def troubles(conn: Connection, *, since: datetime, hidden_projects: Collection[str] = ()) -> dict[str, list[Trouble]]:
    """Return what failed at each backend since a moment, the newest first, by kind of failure.

    Of more than five hundred failures only the newest are counted. A vendor's words may repeat a prompt: those of
    `hidden_projects` are left out.
    """
    failed = (
        select(purchases.c.backend, purchases.c.failure, purchases.c.message, postings.c.at)
        .select_from(postings)
        .join(purchases, purchases.c.purchase_id == postings.c.purchase_id)
        .join(jobs, jobs.c.job_id == purchases.c.job_id)
        .where(postings.c.at >= since, postings.c.kind == "close", purchases.c.failure.is_not(None))
        .order_by(postings.c.at.desc(), postings.c.posting_id.desc())
        .limit(_LOOKED_AT)
    )
    if hidden_projects:
        failed = failed.where(jobs.c.project.not_in(hidden_projects))
    found: dict[str, dict[str, Trouble]] = {}
    for row in conn.execute(failed).mappings():
        of_backend = found.setdefault(row["backend"], {})
        known = of_backend.get(row["failure"])
        of_backend[row["failure"]] = known.model_copy(update={"times": known.times + 1}) if known else _trouble(row)
    return {backend: list(kinds.values()) for backend, kinds in found.items()}


def _trouble(row: Any) -> Trouble:
    failure = FailureKind(row["failure"])
    last = {"last_at": row["at"], "message": row["message"] or ""}
    return Trouble(failure=failure.value, strike=failure not in NO_STRIKE, times=1, **last)
