"""How the rows of a campaign stand: what came of each, why not, and what it cost. A handful of statements, however many rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, select

from aiprod.ledger.campaigns import Stands, stands
from aiprod.ledger.queue import ABANDONED
from aiprod.ledger.schema import campaign_rows, deliveries, failures, manifests, purchases, queue, runs
from aiprod.ledger.schema import jobs as job_rows
from aiprod.models import Delivery, JobSpec, Manifest, Micros, Noun

__all__ = ["JobResult", "results_of"]


class JobResult(Noun):
    """One revision of a row, or a job that was entered without a source: then `row_key` is empty.

    `charged` and `waste` in micro-dollars are the job's, with all its versions.
    """

    job_id: str
    #: The newest version of the job that is of this revision.
    version: int
    row_key: str
    revision: int
    line: int
    published: str | None
    #: Whether a later revision of its row took its place.
    replaced: bool
    #: What was made for it.
    order: JobSpec
    status: Stands
    #: Why it failed, or what it waits for.
    why: str
    delivery: Delivery | None
    #: From when the first run took this version up, and when it was delivered.
    started_at: datetime | None
    delivered_at: datetime | None
    charged: Micros
    #: Charged for renders that failed, were cancelled or written off.
    waste: Micros


@dataclass(frozen=True)
class _Found:
    """What the ledger has of a campaign's jobs, by job, or by job and version."""

    #: Versions of each job, oldest first: number, when it was written, and its manifest where it is not the first.
    versions: Mapping[str, Sequence[tuple[int, datetime, str | None]]]
    made: Mapping[tuple[str, int], tuple[Delivery, datetime]]
    begun: Mapping[tuple[str, int], datetime]
    money: Mapping[str, Any]
    wrong: Mapping[tuple[str, int], str]


def results_of(conn: Connection, campaign: str, *, now: datetime) -> list[JobResult]:
    """Return every revision of a campaign's rows, by row and revision, else its jobs in the order in which they came."""
    mine = job_rows.c.campaign == campaign
    found = _Found(_versions(conn, mine), _delivered(conn, mine), _begun(conn, mine), _money(conn, mine), _troubles(conn, mine))
    rows = _jobs(conn, mine, now)
    last = {row["row_key"]: row["revision"] for row in rows if row["row_key"]}
    changed: dict[tuple[str, str], list[datetime]] = {}
    for row in rows:
        changed.setdefault((row["row_key"], row["job_id"]), []).append(row["entered_at"])
    return [_result(row, found, changed[row["row_key"], row["job_id"]], last) for row in rows]


def _result(row: Any, found: _Found, entered: Sequence[datetime], last: Mapping[str, int]) -> JobResult:
    job_id = row["job_id"]
    # Until the same job was given the row's next words.
    until = next((at for at in entered if row["entered_at"] is not None and at > row["entered_at"]), None)
    mine = [(n, text) for n, at, text in found.versions.get(job_id, ()) if until is None or at < until]
    number, manifest = mine[-1] if mine else (0, None)
    replaced = bool(row["row_key"]) and last[row["row_key"]] != row["revision"]
    delivery, delivered_at = found.made.get((job_id, number), (None, None))
    status, why = _status(row, delivery, found.wrong.get((job_id, number), ""), over=until is not None)
    money = found.money.get(job_id, {"charged": 0, "waste": 0})
    return JobResult(
        job_id=job_id,
        version=number,
        row_key=row["row_key"] or "",
        revision=row["revision"] or 1,
        line=row["line"] or 0,
        published=row["published"],
        replaced=replaced,
        order=_as_made(JobSpec.model_validate_json(row["spec"]), manifest),
        status=status,
        why=why,
        delivery=delivery,
        started_at=found.begun.get((job_id, number)),
        delivered_at=delivered_at,
        charged=int(money["charged"]),
        waste=int(money["waste"]),
    )


def _as_made(spec: JobSpec, manifest: str | None) -> JobSpec:
    """An order as a later version of its job has it."""
    if manifest is None:
        return spec
    made = Manifest.model_validate_json(manifest)
    words = {"prompt": made.shots[0].prompt, "shots": None, "seconds": made.seconds, "aspect_ratio": made.aspect_ratio}
    return spec.model_copy(update=words)


def _jobs(conn: Connection, mine: ColumnElement[bool], now: datetime) -> list[Any]:
    rows = [campaign_rows.c[name] for name in ("row_key", "revision", "line", "published", "entered_at")]
    statement = (
        select(job_rows.c.job_id, job_rows.c.spec, job_rows.c.cancelled_by, stands(since=now - ABANDONED).label("stands"), *rows)
        .add_columns(queue.c.reason, queue.c.message, queue.c.due_at)
        .outerjoin(campaign_rows, campaign_rows.c.job_id == job_rows.c.job_id)
        .outerjoin(queue, queue.c.job_id == job_rows.c.job_id)
        .where(mine)
        .order_by(
            campaign_rows.c.line, campaign_rows.c.row_key, campaign_rows.c.revision, job_rows.c.created_at, job_rows.c.job_id
        )
    )
    return list(conn.execute(statement).mappings())


def _versions(conn: Connection, mine: ColumnElement[bool]) -> dict[str, list[tuple[int, datetime, str | None]]]:
    text = case((manifests.c.version > 1, manifests.c.manifest), else_=None).label("manifest")
    asked = select(manifests.c.job_id, manifests.c.version, manifests.c.created_at, text)
    asked = asked.join(job_rows, job_rows.c.job_id == manifests.c.job_id).where(mine).order_by(manifests.c.version)
    found: dict[str, list[tuple[int, datetime, str | None]]] = {}
    for row in conn.execute(asked):
        found.setdefault(row.job_id, []).append((row.version, row.created_at, row.manifest))
    return found


def _begun(conn: Connection, mine: ColumnElement[bool]) -> dict[tuple[str, int], datetime]:
    """When the first run of each job version began."""
    first = func.min(runs.c.started_at, type_=runs.c.started_at.type).label("started_at")
    asked = select(runs.c.job_id, runs.c.version, first).join(job_rows, job_rows.c.job_id == runs.c.job_id).where(mine)
    return {(row.job_id, row.version): row.started_at for row in conn.execute(asked.group_by(runs.c.job_id, runs.c.version))}


def _money(conn: Connection, mine: ColumnElement[bool]) -> dict[str, Any]:
    charged = func.coalesce(func.sum(purchases.c.charged), 0).label("charged")
    lost = case((purchases.c.state != "succeeded", purchases.c.charged), else_=0)
    waste = func.coalesce(func.sum(lost), 0).label("waste")
    asked = select(purchases.c.job_id, charged, waste).join(job_rows, job_rows.c.job_id == purchases.c.job_id).where(mine)
    return {row["job_id"]: row for row in conn.execute(asked.group_by(purchases.c.job_id)).mappings()}


def _delivered(conn: Connection, mine: ColumnElement[bool]) -> dict[tuple[str, int], tuple[Delivery, datetime]]:
    asked = select(deliveries).join(job_rows, job_rows.c.job_id == deliveries.c.job_id).where(mine)
    return {
        (row["job_id"], row["version"]): (Delivery.model_validate_json(row["delivery"]), row["delivered_at"])
        for row in conn.execute(asked).mappings()
    }


def _troubles(conn: Connection, mine: ColumnElement[bool]) -> dict[tuple[str, int], str]:
    """The last thing that went wrong with each job version."""
    asked = select(failures).join(job_rows, job_rows.c.job_id == failures.c.job_id).where(mine).order_by(failures.c.failure_id)
    rows = conn.execute(asked).mappings()
    return {(row["job_id"], row["version"]): f"{row['stage']}: {row['message']}" for row in rows}


def _status(row: Any, delivery: Delivery | None, wrong: str, *, over: bool) -> tuple[Stands, str]:
    """How a revision stands, and why; `over`: its job was given other words since."""
    if over:
        return ("delivered", "") if delivery is not None else ("cancelled", "the row changed")
    status: Stands = row["stands"]
    if status == "cancelled":
        return status, f"by {row['cancelled_by']}"
    if status == "waiting":
        return status, f"for {row['reason']}, from {row['due_at']:%Y-%m-%d %H:%M} UTC: {row['message']}"
    return status, (wrong or "its run ended without a word") if status == "failed" else ""
