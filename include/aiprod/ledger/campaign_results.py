"""How the jobs of a campaign stand: what came of each, why not, and what it cost. A handful of statements, however many jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, case, func, select

from aiprod.ledger.schema import campaign_rows, deliveries, failures, manifests, purchases, queue, runs
from aiprod.ledger.schema import jobs as job_rows
from aiprod.models import Delivery, JobSpec, Micros, Noun

__all__ = ["JobResult", "results_of"]

Status = Literal["delivered", "cancelled", "waiting", "running", "failed"]


class JobResult(Noun):
    """One job of a campaign. `charged` and `waste` in micro-dollars; `row_key` is empty for a job entered without a source."""

    job_id: str
    row_key: str
    revision: int
    line: int
    published: str | None
    #: Whether a later revision of its row took its place.
    replaced: bool
    order: JobSpec
    status: Status
    #: Why it failed, or what it waits for.
    why: str
    delivery: Delivery | None
    #: From when the first run took it up, and when it was delivered.
    started_at: datetime | None
    delivered_at: datetime | None
    charged: Micros
    #: Charged for renders that failed, were cancelled or written off.
    waste: Micros


def results_of(conn: Connection, campaign: str) -> list[JobResult]:
    """Return every job of a campaign, by row and revision, else in the order in which they came."""
    mine = job_rows.c.campaign == campaign
    newest = _by_job(conn, select(manifests.c.job_id, func.max(manifests.c.version).label("version")), manifests.c.job_id, mine)
    made, begun, money, wrong = _delivered(conn, mine), _begun(conn, mine), _money(conn, mine), _troubles(conn, mine)
    rows = _jobs(conn, mine)
    last = {row["row_key"]: row["revision"] for row in rows if row["row_key"]}
    found = []
    for row in rows:
        job_id = row["job_id"]
        delivery, delivered_at = made.get((job_id, newest[job_id]["version"] if job_id in newest else 0), (None, None))
        status, why = _status(row, delivery, begun.get(job_id), wrong.get(job_id, ""))
        found.append(
            JobResult(
                job_id=job_id,
                row_key=row["row_key"] or "",
                revision=row["revision"] or 1,
                line=row["line"] or 0,
                published=row["published"],
                replaced=bool(row["row_key"]) and last[row["row_key"]] != row["revision"],
                order=JobSpec.model_validate_json(row["spec"]),
                status=status,
                why=why,
                delivery=delivery,
                started_at=begun[job_id]["started_at"] if job_id in begun else None,
                delivered_at=delivered_at,
                charged=int(money[job_id]["charged"]) if job_id in money else 0,
                waste=int(money[job_id]["waste"]) if job_id in money else 0,
            )
        )
    return found


def _jobs(conn: Connection, mine: ColumnElement[bool]) -> list[Any]:
    rows = (campaign_rows.c.row_key, campaign_rows.c.revision, campaign_rows.c.line, campaign_rows.c.published)
    statement = (
        select(job_rows.c.job_id, job_rows.c.spec, job_rows.c.cancelled_at, job_rows.c.cancelled_by, *rows)
        .add_columns(queue.c.reason, queue.c.message, queue.c.due_at)
        .outerjoin(campaign_rows, campaign_rows.c.job_id == job_rows.c.job_id)
        .outerjoin(queue, queue.c.job_id == job_rows.c.job_id)
        .where(mine)
        .order_by(
            campaign_rows.c.line, campaign_rows.c.row_key, campaign_rows.c.revision, job_rows.c.created_at, job_rows.c.job_id
        )
    )
    return list(conn.execute(statement).mappings())


def _by_job(conn: Connection, statement: Any, job_id: Any, mine: ColumnElement[bool]) -> dict[str, Any]:
    """Rows of an aggregate per job, by job."""
    asked = statement.join(job_rows, job_rows.c.job_id == job_id).where(mine).group_by(job_id)
    return {row["job_id"]: row for row in conn.execute(asked).mappings()}


def _begun(conn: Connection, mine: ColumnElement[bool]) -> dict[str, Any]:
    """When the first run of each job began, and how many of its runs are not over."""
    first = func.min(runs.c.started_at, type_=runs.c.started_at.type).label("started_at")
    going = func.sum(case((runs.c.settled_at.is_(None), 1), else_=0)).label("open")
    return _by_job(conn, select(runs.c.job_id, first, going), runs.c.job_id, mine)


def _money(conn: Connection, mine: ColumnElement[bool]) -> dict[str, Any]:
    charged = func.coalesce(func.sum(purchases.c.charged), 0).label("charged")
    lost = case((purchases.c.state != "succeeded", purchases.c.charged), else_=0)
    waste = func.coalesce(func.sum(lost), 0).label("waste")
    return _by_job(conn, select(purchases.c.job_id, charged, waste), purchases.c.job_id, mine)


def _delivered(conn: Connection, mine: ColumnElement[bool]) -> dict[tuple[str, int], tuple[Delivery, datetime]]:
    asked = select(deliveries).join(job_rows, job_rows.c.job_id == deliveries.c.job_id).where(mine)
    return {
        (row["job_id"], row["version"]): (Delivery.model_validate_json(row["delivery"]), row["delivered_at"])
        for row in conn.execute(asked).mappings()
    }


def _troubles(conn: Connection, mine: ColumnElement[bool]) -> dict[str, str]:
    """The last thing that went wrong with each job."""
    asked = select(failures).join(job_rows, job_rows.c.job_id == failures.c.job_id).where(mine).order_by(failures.c.failure_id)
    return {row["job_id"]: f"{row['stage']}: {row['message']}" for row in conn.execute(asked).mappings()}


def _status(row: Any, delivery: Delivery | None, begun: Any, wrong: str) -> tuple[Status, str]:
    if delivery is not None:
        return "delivered", ""
    if row["cancelled_at"] is not None:
        return "cancelled", f"by {row['cancelled_by']}"
    if row["reason"] is not None:
        return "waiting", f"for {row['reason']}, from {row['due_at']:%Y-%m-%d %H:%M} UTC: {row['message']}"
    if begun is not None and begun["open"]:
        return "running", ""
    return "failed", wrong or "its run ended without a word"
