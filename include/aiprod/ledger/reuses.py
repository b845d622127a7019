"""What another job of a project has, or is having made, that may be the very clip a shot wants."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, Connection, exists, or_, select

from aiprod.ledger.schema import OPEN, erasures, jobs, purchases, qa_reports, reviews, takes
from aiprod.models import JobSpec, Noun, QAReport, RenderRequest, Take, Verdict

__all__ = ["Elsewhere", "accepted", "in_flight", "still_there"]

#: More renders than this per seed are not looked at: enough for every backend, several times.
_MOST = 20


class Elsewhere(Noun):
    """A render of another job of the project: what was asked for, under which order, and what is stored of it."""

    purchase_id: str
    job_id: str
    request: RenderRequest
    spec: JobSpec
    #: None while it is being made.
    take: Take | None = None
    report: QAReport | None = None


def accepted(conn: Connection, project: str, seeds: Sequence[int], *, not_of: str) -> list[Elsewhere]:
    """Return accepted takes of other jobs of a project that were asked for with one of some ordered seeds, newest first.

    Never a take of an erased job, nor of a job version whose video a person rejected.
    """
    refused = exists().where(
        reviews.c.job_id == purchases.c.job_id, reviews.c.version == purchases.c.version, reviews.c.answer == "rejected"
    )
    statement = (
        select(purchases.c.purchase_id, purchases.c.job_id, purchases.c.request, jobs.c.spec, qa_reports.c.report)
        .add_columns(*(takes.c[name].label(f"take_{name}") for name in Take.model_fields))
        .select_from(purchases)
        .join(jobs, jobs.c.job_id == purchases.c.job_id)
        .join(takes, takes.c.take_id == purchases.c.purchase_id)
        .join(qa_reports, qa_reports.c.take_id == takes.c.take_id)
        .where(jobs.c.project == project, purchases.c.kind == "render", purchases.c.job_id != not_of, _asked(seeds))
        .where(purchases.c.state == "succeeded", qa_reports.c.verdict == Verdict.ACCEPTED.value, ~refused)
        .where(purchases.c.job_id.not_in(select(erasures.c.job_id)))
        .order_by(takes.c.kept_at.desc(), takes.c.take_id)
        .limit(_MOST * len(seeds))
    )
    return [
        Elsewhere(
            purchase_id=row["purchase_id"],
            job_id=row["job_id"],
            request=RenderRequest.model_validate(json.loads(row["request"])),
            spec=JobSpec.model_validate_json(row["spec"]),
            take=Take(**{name: row[f"take_{name}"] for name in Take.model_fields}),
            report=QAReport.model_validate_json(row["report"]),
        )
        for row in conn.execute(statement).mappings()
    ]


def in_flight(conn: Connection, project: str, seeds: Sequence[int], *, not_of: str) -> list[Elsewhere]:
    """Return the live renders of other jobs of a project that were asked for with one of some ordered seeds, oldest first.

    Two looks, the first by state alone: few renders are open, and this is asked where everybody waits for the answer.
    """
    live = (purchases.c.state.in_(OPEN), purchases.c.parked_at.is_(None), purchases.c.kind == "render")
    statement = select(purchases.c.purchase_id, purchases.c.job_id, purchases.c.request).where(*live, _asked(seeds))
    rows = conn.execute(statement.order_by(purchases.c.created_at, purchases.c.purchase_id)).all()
    theirs = jobs.c.job_id.in_({row.job_id for row in rows} - {not_of})
    going = select(jobs.c.job_id, jobs.c.spec).where(theirs, jobs.c.project == project, jobs.c.cancelled_at.is_(None))
    specs = {row.job_id: JobSpec.model_validate_json(row.spec) for row in conn.execute(going)}
    return [
        Elsewhere(
            purchase_id=row.purchase_id,
            job_id=row.job_id,
            request=RenderRequest.model_validate(json.loads(row.request)),
            spec=specs[row.job_id],
        )
        for row in rows
        if row.job_id in specs
    ]


def still_there(conn: Connection, job_id: str) -> bool:
    """Whether a job was not erased, and will not be before this transaction ends."""
    conn.execute(select(jobs.c.job_id).where(jobs.c.job_id == job_id).with_for_update())
    return conn.execute(select(erasures.c.job_id).where(erasures.c.job_id == job_id)).first() is None


def _asked(seeds: Iterable[int]) -> ColumnElement[bool]:
    """That the order named one of the seeds. The same text as `ledger.purchases` writes: keys in order."""
    words = [f'"seed": {seed}, "seed_ordered": true' for seed in sorted(set(seeds))]
    return or_(*(purchases.c.request.contains(text, autoescape=True) for text in words))
