"""Where a job is: one expression over the ledger's rows, for one job and for lists, and the steps between the answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Integer,
    ScalarSelect,
    Select,
    Table,
    and_,
    case,
    exists,
    func,
    or_,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement

from aiprod.errors import JobUnknown
from aiprod.ledger.schema import (
    OPEN,
    approvals,
    deliveries,
    failures,
    jobs,
    manifests,
    purchases,
    queue,
    reuses,
    reviews,
    runs,
    shown,
    takes,
)
from aiprod.models import JobStatus

__all__ = ["NOBODY_LOOKED", "TRANSITIONS", "VERSION", "may_be", "status_of", "status_sql"]

_S = JobStatus

#: The stage of the remark that the question about a finished video ran out of time.
NOBODY_LOOKED = "review"

#: Every step a job can be seen to take. What happens between two looks may skip states, never leave these ways.
TRANSITIONS: Mapping[JobStatus, frozenset[JobStatus]] = MappingProxyType(
    {
        _S.CREATED: frozenset({_S.ESTIMATED, _S.RENDERING, _S.REJECTED, _S.CANCELLED}),
        _S.ESTIMATED: frozenset(
            {_S.CREATED, _S.WAITING_APPROVAL, _S.WAITING_BUDGET, _S.RENDERING, _S.REJECTED, _S.CANCELLED, _S.FAILED}
        ),
        _S.WAITING_APPROVAL: frozenset({_S.RENDERING, _S.REJECTED, _S.EXPIRED, _S.CANCELLED, _S.FAILED}),
        _S.WAITING_BUDGET: frozenset(
            {_S.WAITING_APPROVAL, _S.ESTIMATED, _S.RENDERING, _S.SCORING, _S.CANCELLED, _S.FAILED, _S.DELIVERED}
        ),
        _S.RENDERING: frozenset(
            {_S.SCORING, _S.WAITING_APPROVAL, _S.WAITING_BUDGET, _S.ESTIMATED, _S.FAILED, _S.CANCELLED, _S.EXPIRED}
        ),
        _S.SCORING: frozenset({_S.RENDERING, _S.WAITING_BUDGET, _S.FINAL_APPROVAL, _S.DELIVERED, _S.FAILED, _S.CANCELLED}),
        _S.FINAL_APPROVAL: frozenset({_S.SCORING, _S.REJECTED, _S.EXPIRED, _S.FAILED, _S.CANCELLED}),
        _S.DELIVERED: frozenset({_S.CREATED}),
        # Delivered, where somebody cleared the tasks behind a refusal and everything needed was there.
        _S.REJECTED: frozenset({_S.CREATED, _S.WAITING_APPROVAL, _S.FINAL_APPROVAL, _S.CANCELLED, _S.DELIVERED}),
        _S.EXPIRED: frozenset({_S.CREATED, _S.WAITING_APPROVAL, _S.FINAL_APPROVAL, _S.CANCELLED, _S.DELIVERED}),
        _S.FAILED: frozenset(
            {_S.CREATED, _S.ESTIMATED, _S.WAITING_APPROVAL, _S.WAITING_BUDGET, _S.RENDERING, _S.SCORING, _S.FINAL_APPROVAL}
            | {_S.DELIVERED, _S.CANCELLED}
        ),
        # A delivery that was being written while somebody cancelled.
        _S.CANCELLED: frozenset({_S.DELIVERED}),
    }
)


class _ShotCount(FunctionElement[int]):
    """How many shots a manifest's JSON has."""

    type = Integer()
    inherit_cache = True


@compiles(_ShotCount, "sqlite")
def _sqlite(element: _ShotCount, compiler: Any, **kw: Any) -> str:
    return f"json_array_length({compiler.process(element.clauses, **kw)}, '$.shots')"


@compiles(_ShotCount, "postgresql")
def _postgres(element: _ShotCount, compiler: Any, **kw: Any) -> str:
    return f"json_array_length(CAST({compiler.process(element.clauses, **kw)} AS json) -> 'shots')"


#: The newest manifest version of the job of the row.
VERSION = select(func.max(manifests.c.version)).where(manifests.c.job_id == jobs.c.job_id).correlate(jobs).scalar_subquery()


def status_of(conn: Connection, job_id: str) -> JobStatus:
    """Return where a job is. Raises `JobUnknown`."""
    found = conn.execute(select(status_sql()).where(jobs.c.job_id == job_id)).scalar()
    if found is None:
        raise JobUnknown(f"job {job_id} is not in the ledger")
    return JobStatus(found)


def status_sql() -> ColumnElement[str]:
    """Return the status of the job of the row, for a statement over `jobs`. Every condition walks an index."""
    answer = _of_version(approvals, approvals.c.answer, by=approvals.c.sequence)
    word = _of_version(reviews, reviews.c.answer, by=reviews.c.answered_at)
    return case(
        (_has(deliveries), _S.DELIVERED.value),
        (jobs.c.cancelled_at.is_not(None), _S.CANCELLED.value),
        (_asked(approvals, shown.c.content == ""), _S.WAITING_APPROVAL.value),
        (_asked(reviews, shown.c.content != ""), _S.FINAL_APPROVAL.value),
        (or_(answer == "rejected", word == "rejected"), _S.REJECTED.value),
        (or_(answer == "expired", _nobody_looked()), _S.EXPIRED.value),
        (_queued("money"), _S.WAITING_BUDGET.value),
        (and_(answer == "approved", _carried(), ~_buying(), _every_shot_has_a_take()), _S.SCORING.value),
        (and_(answer == "approved", or_(_carried(), _buying())), _S.RENDERING.value),
        (or_(_carried(), _queued("campaign", "slots")), _S.ESTIMATED.value),
        # Every run that carried this version is over, and came to nothing of the above.
        (_has(runs), _S.FAILED.value),
        else_=_S.CREATED.value,
    )


def may_be(statuses: Collection[JobStatus]) -> ColumnElement[bool]:
    """Return what is true of every job in one of some states, and cheap to tell of all jobs: the rest need no closer look."""
    carried = select(runs.c.job_id).where(runs.c.settled_at.is_(None))
    waits = select(queue.c.job_id)
    question = and_(shown.c.run_id == runs.c.run_id, shown.c.job_id == runs.c.job_id)
    asked = (
        select(runs.c.job_id).join(shown, question).where(or_(runs.c.settled_at.is_(None), runs.c.settled_at < shown.c.shown_at))
    )
    bought = select(purchases.c.job_id).where(purchases.c.state.in_(OPEN))
    refused = select(approvals.c.job_id).where(approvals.c.answer.in_(("rejected", "expired")))
    refused_cut = select(reviews.c.job_id).where(reviews.c.answer == "rejected")
    nobody_looked = select(failures.c.job_id).where(failures.c.stage == NOBODY_LOOKED)
    told = {
        _S.CREATED: ~_has(runs),
        _S.ESTIMATED: or_(_in(carried), _in(waits)),
        _S.WAITING_APPROVAL: _in(asked),
        _S.WAITING_BUDGET: _in(waits),
        _S.RENDERING: or_(_in(carried), _in(bought)),
        _S.SCORING: _in(carried),
        _S.FINAL_APPROVAL: _in(asked),
        _S.DELIVERED: _has(deliveries),
        _S.REJECTED: or_(_in(refused), _in(refused_cut)),
        _S.CANCELLED: jobs.c.cancelled_at.is_not(None),
        _S.FAILED: and_(_has(runs), ~_has(deliveries)),
        _S.EXPIRED: or_(_in(refused), _in(nobody_looked)),
    }
    return or_(*(told[status] for status in statuses))


def _in(found: Select[tuple[str]]) -> ColumnElement[bool]:
    return jobs.c.job_id.in_(found)


def _has(table: Table, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether the newest version of the row's job has a row in a table."""
    return exists().where(table.c.job_id == jobs.c.job_id, table.c.version == VERSION, *conditions)


def _of_version(table: Table, column: Column[Any], *, by: Column[Any]) -> ScalarSelect[Any]:
    """One column of the last row that a table has for the newest version."""
    mine = (table.c.job_id == jobs.c.job_id, table.c.version == VERSION)
    return select(column).where(*mine).order_by(by.desc()).limit(1).scalar_subquery()


def _asked(words: Table, about: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether a run asked a person, is not over since, nobody has said a word since, and there is still time to."""
    mine = and_(words.c.job_id == runs.c.job_id, words.c.version == runs.c.version)
    since = exists().where(mine, words.c.answered_at >= shown.c.shown_at)
    same = and_(failures.c.job_id == runs.c.job_id, failures.c.version == runs.c.version)
    ran_out = exists().where(same, failures.c.stage == NOBODY_LOOKED, failures.c.at >= shown.c.shown_at)
    question = and_(shown.c.run_id == runs.c.run_id, shown.c.job_id == runs.c.job_id, about)
    open_since = or_(runs.c.settled_at.is_(None), runs.c.settled_at < shown.c.shown_at)
    return _has(runs, question, open_since, ~since, ~ran_out)


def _nobody_looked() -> ColumnElement[bool]:
    """Whether the question about the video ran out of time, and nobody has said a word since."""
    mine = and_(reviews.c.job_id == failures.c.job_id, reviews.c.version == failures.c.version)
    since = exists().where(mine, reviews.c.answered_at >= failures.c.at)
    return _has(failures, failures.c.stage == NOBODY_LOOKED, ~since)


def _queued(*reasons: str) -> ColumnElement[bool]:
    return exists().where(queue.c.job_id == jobs.c.job_id, queue.c.reason.in_(reasons))


def _carried() -> ColumnElement[bool]:
    return _has(runs, runs.c.settled_at.is_(None))


def _buying() -> ColumnElement[bool]:
    """Whether a render is held, sent, running or looked for; what is parked is in nobody's way."""
    return _has(purchases, purchases.c.kind == "render", purchases.c.state.in_(OPEN), purchases.c.parked_at.is_(None))


def _every_shot_has_a_take() -> ColumnElement[bool]:
    mine = (manifests.c.job_id == jobs.c.job_id, manifests.c.version == VERSION)
    wanted = select(_ShotCount(manifests.c.manifest)).where(*mine).scalar_subquery()
    return _count(takes) + _count(reuses) >= wanted


def _count(table: Table) -> ScalarSelect[int]:
    """How many shots of the newest version have a row in a table."""
    mine = (table.c.job_id == jobs.c.job_id, table.c.version == VERSION)
    return select(func.count(table.c.shot.distinct())).where(*mine).scalar_subquery()
