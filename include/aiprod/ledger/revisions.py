"""Whether anything about a job changed since somebody looked: one statement over counts and sums, never the rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, ScalarSelect, String, Table, and_, func, literal, select, type_coerce

from aiprod.ledger.schema import (
    approvals,
    caps,
    cuts,
    decisions,
    deliveries,
    erasures,
    failures,
    jobs,
    manifests,
    purchases,
    qa_reports,
    queue,
    reuses,
    reviews,
    runs,
    shown,
    sightings,
    takes,
)

__all__ = ["revisions"]

#: Tables whose rows are only ever added: how many there are says whether there is a new one.
_GROW = (manifests, approvals, decisions, takes, reuses, reviews, deliveries, failures, erasures)


def revisions(conn: Connection, job_ids: Sequence[str]) -> dict[str, str]:
    """Return a mark for each known job that is another whenever anything that people are shown of it is another.

    Sums of times, not the last one: a transaction may be committed after one that began later.
    """
    marks = [_count(table) for table in _GROW]
    marks += [_time(jobs.c.cancelled_at), *_runs(), *_purchases(), _sightings(), _reports(), _cut(), _queued(), *_cap()]
    rows = conn.execute(
        select(jobs.c.job_id, *(mark.label(f"m{n}") for n, mark in enumerate(marks))).where(jobs.c.job_id.in_(job_ids))
    )
    return {row[0]: hashlib.sha256(repr(tuple(map(str, row[1:]))).encode()).hexdigest()[:16] for row in rows}


def _time(column: Column[Any]) -> Any:
    return type_coerce(column, BigInteger)


def _count(table: Table) -> ScalarSelect[Any]:
    return select(func.count()).select_from(table).where(table.c.job_id == jobs.c.job_id).scalar_subquery()


def _of_job(table: Table, what: Any) -> ScalarSelect[Any]:
    return select(what).where(table.c.job_id == jobs.c.job_id).scalar_subquery()


def _runs() -> list[ScalarSelect[Any]]:
    asked = (
        select(func.sum(_time(shown.c.shown_at)))
        .select_from(runs.join(shown, and_(shown.c.run_id == runs.c.run_id, shown.c.job_id == runs.c.job_id)))
        .where(runs.c.job_id == jobs.c.job_id)
        .scalar_subquery()
    )
    both = func.sum(_time(runs.c.started_at) + func.coalesce(_time(runs.c.settled_at), 0))
    return [asked, _of_job(runs, both), _of_job(runs, func.sum(runs.c.version)), _of_job(runs, func.count(runs.c.settled_at))]


def _purchases() -> list[ScalarSelect[Any]]:
    p = purchases.c
    return [_of_job(purchases, what) for what in (func.count(), func.sum(_time(p.updated_at)), func.sum(p.charged))]


def _sightings() -> ScalarSelect[Any]:
    same = and_(sightings.c.backend == purchases.c.backend, sightings.c.vendor_id == purchases.c.vendor_id)
    seen = select(func.sum(_time(sightings.c.seen_at))).select_from(purchases.join(sightings, same))
    return seen.where(purchases.c.job_id == jobs.c.job_id).scalar_subquery()


def _reports() -> ScalarSelect[Any]:
    judged = select(func.count()).select_from(takes.join(qa_reports, qa_reports.c.take_id == takes.c.take_id))
    return judged.where(takes.c.job_id == jobs.c.job_id).scalar_subquery()


def _cut() -> ScalarSelect[Any]:
    return _of_job(cuts, func.sum(_time(cuts.c.made_at)))


def _queued() -> ScalarSelect[Any]:
    said = queue.c.reason + literal("|") + func.cast(_time(queue.c.due_at), String) + literal("|") + queue.c.message
    return _of_job(queue, said)


def _cap() -> list[ScalarSelect[Any]]:
    mine = and_(caps.c.kind == "job", caps.c.key == jobs.c.job_id)
    return [select(what).where(mine).scalar_subquery() for what in (caps.c.cap, caps.c.reserved + caps.c.settled)]
