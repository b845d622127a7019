"""Many jobs as rows, newest first, a page at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, and_, exists, func, or_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement

from aiprod.ledger.job_status import VERSION, may_be, status_sql
from aiprod.ledger.schema import cuts, deliveries, erasures, jobs, manifests, purchases
from aiprod.models import Delivery, JobFilter, JobSpec, JobStatus, Manifest, Micros, Noun

__all__ = ["Listed", "page"]


class Listed(Noun):
    """One job as a list needs it. `seconds` of the newest manifest; `charged` over all versions."""

    job_id: str
    status: JobStatus
    version: int
    spec: JobSpec
    campaign: str | None
    created_at: datetime
    created_by: str | None
    seconds: float
    quality: float | None
    charged: Micros
    has_poster: bool


class _Prompts(FunctionElement[str]):
    """All prompts of an order's JSON, in one text."""

    type = Text()
    inherit_cache = True


@compiles(_Prompts, "sqlite")
def _sqlite(element: _Prompts, compiler: Any, **kw: Any) -> str:
    order = compiler.process(element.clauses, **kw)
    return f"(SELECT group_concat(value, ' ') FROM json_tree({order}) WHERE key = 'prompt' AND type = 'text')"  # noqa: S608 - a column of ours


@compiles(_Prompts, "postgresql")
def _postgres(element: _Prompts, compiler: Any, **kw: Any) -> str:
    order = compiler.process(element.clauses, **kw)
    found = f"jsonb_path_query(CAST({order} AS jsonb), 'strict $.**.prompt')"
    return f"(SELECT string_agg(found.value #>> '{{}}', ' ') FROM {found} AS found(value))"  # noqa: S608 - a column of ours


def page(conn: Connection, wanted: JobFilter, *, before: tuple[datetime, str] | None = None, limit: int) -> list[Listed]:
    """Return up to `limit` jobs, newest first, entered before `before`: the time and id of the last one seen."""
    where = _conditions(wanted)
    if before is not None:
        at, job_id = before
        where.append(or_(jobs.c.created_at < at, and_(jobs.c.created_at == at, jobs.c.job_id < job_id)))
    newest = select(jobs.c.job_id).where(*where).order_by(jobs.c.created_at.desc(), jobs.c.job_id.desc()).limit(limit)
    return _rows(conn, conn.execute(newest).scalars().all())


def _conditions(wanted: JobFilter) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    columns = ((jobs.c.project, wanted.project), (jobs.c.campaign, wanted.campaign), (jobs.c.created_by, wanted.created_by))
    for column, value in columns:
        where += [column == value] if value is not None else []
    if wanted.hidden_projects:
        where.append(jobs.c.project.not_in(wanted.hidden_projects))
    if wanted.preset is not None:
        # As the order was written: nothing that a person typed can look like it, its quotes would have been escaped.
        where.append(jobs.c.spec.contains(f'"preset":{json.dumps(wanted.preset)}', autoescape=True))
    if text := wanted.text.strip():
        where.append(_mentions(text))
    if wanted.statuses:
        # Most jobs are not looked at closely: most are delivered, and one look tells that.
        where += [may_be(wanted.statuses), status_sql().in_([str(status) for status in wanted.statuses])]
    return where


def _mentions(text: str) -> ColumnElement[bool]:
    """Whether a job's id or one of its prompts holds a text, in capitals or not."""
    # The order's JSON first: most jobs are out before anything is taken apart.
    somewhere = jobs.c.spec.icontains(json.dumps(text, ensure_ascii=False)[1:-1], autoescape=True)
    asked = and_(somewhere, _Prompts(jobs.c.spec).icontains(text, autoescape=True))
    return or_(jobs.c.job_id.icontains(text, autoescape=True), asked)


def _rows(conn: Connection, job_ids: Sequence[str]) -> list[Listed]:
    mine = jobs.c.job_id

    def newest(column: Any, table: Any) -> Any:
        return select(column).where(table.c.job_id == mine, table.c.version == VERSION).scalar_subquery()

    statement = select(
        jobs,
        status_sql().label("status"),
        VERSION.label("version"),
        newest(manifests.c.manifest, manifests).label("manifest"),
        newest(deliveries.c.delivery, deliveries).label("delivery"),
        exists().where(cuts.c.job_id == mine, cuts.c.version == VERSION).label("cut"),
        exists().where(erasures.c.job_id == mine).label("erased"),
        select(func.coalesce(func.sum(purchases.c.charged), 0))
        .where(purchases.c.job_id == mine)
        .scalar_subquery()
        .label("charged"),
    ).where(jobs.c.job_id.in_(job_ids))
    rows = [_listed(row) for row in conn.execute(statement).mappings()]
    return sorted(rows, key=lambda row: (row.created_at, row.job_id), reverse=True)


def _listed(row: Any) -> Listed:
    delivered = None if row["delivery"] is None else Delivery.model_validate_json(row["delivery"])
    return Listed(
        job_id=row["job_id"],
        status=JobStatus(row["status"]),
        version=row["version"],
        spec=JobSpec.model_validate_json(row["spec"]),
        campaign=row["campaign"],
        created_at=row["created_at"],
        created_by=row["created_by"],
        seconds=Manifest.model_validate_json(row["manifest"]).seconds,
        quality=delivered.quality if delivered else None,
        charged=int(row["charged"]),
        # A cut that nobody is asked about is shown to nobody.
        has_poster=bool(delivered or (row["cut"] and row["status"] == JobStatus.FINAL_APPROVAL)) and not row["erased"],
    )
