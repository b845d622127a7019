"""What a period cost and saved, added up by the database: one row per project, backend and model, however many purchases."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, and_, bindparam, case, exists, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement

from aiprod.ledger.schema import Utc, cuts, decisions, deliveries, jobs, postings, purchases, qa_reports, reuses, takes
from aiprod.ledger.states import BOUGHT
from aiprod.models import Micros, Noun, Verdict

__all__ = ["Spent", "spent"]


class Spent(Noun):
    """One model of one backend for one project. Micro-dollars; `failed` and `rejected` are parts of `charged`."""

    project: str
    backend: str
    model: str
    purchases: int = 0
    #: What was set aside for them: their quotes.
    quoted: Micros = 0
    charged: Micros = 0
    #: Late bills, and refunds, which are negative.
    corrections: Micros = 0
    #: Charged for renders and judgements that failed, were cancelled or written off.
    failed: Micros = 0
    #: Charged for takes that quality control rejected, and that nobody delivered all the same.
    rejected: Micros = 0
    saved_by_routing: Micros = 0
    saved_by_reuse: Micros = 0

    @property
    def total(self) -> Micros:
        """What the ledger settled."""
        return self.charged + self.corrections


def spent(conn: Connection, since: datetime, until: datetime) -> list[Spent]:
    """Return what was settled and saved in a half-open period. The sum of all totals is what its postings settled.

    `saved_by_routing` is, for every render that succeeded, what the dearest backend that routing could have chosen
    instead quoted for the same shot, less what the render was charged; nothing where no other could have been chosen, or
    it was charged more. The decision that placed the hold names those backends (its candidates with a rank: they could
    make the shot, were healthy, met the floor and were affordable) with their quotes.
    `saved_by_reuse` is what the shots of delivered videos that used a take again would have cost.
    """
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for statement in _statements():
        for row in conn.execute(statement, {"since": since, "until": until}).mappings():
            key = (row["project"], row["backend"], row["model"])
            rows.setdefault(key, {}).update({name: int(value or 0) for name, value in row.items() if name not in _KEY})
    return [Spent(project=key[0], backend=key[1], model=key[2], **figures) for key, figures in sorted(rows.items())]


_KEY = ("project", "backend", "model")
_SINCE, _UNTIL = bindparam("since", type_=Utc()), bindparam("until", type_=Utc())
#: Postings of the period.
_INSIDE = (postings.c.at >= _SINCE, postings.c.at < _UNTIL)


@cache
def _statements() -> tuple[Any, ...]:
    """Built once: thirty days are asked for one by one, and building costs more than a quiet day's reading."""
    return _settled(), _routed(), _reused()


class _Saved(FunctionElement[int]):
    """How far the dearest quote among a decision's candidates with a rank is above what was paid; 0 where there was only one."""

    type = BigInteger()
    inherit_cache = True


@compiles(_Saved, "sqlite")
def _sqlite(element: _Saved, compiler: Any, **kw: Any) -> str:
    decision, paid = (compiler.process(clause, **kw) for clause in element.clauses)
    quote = "json_extract(value, '$.quote')"
    able = f"json_each({decision}, '$.candidates') WHERE json_extract(value, '$.rank') IS NOT NULL AND {quote} > 0"
    return f"(SELECT {_less(quote, paid)} FROM {able})"  # noqa: S608 - columns of ours


@compiles(_Saved, "postgresql")
def _postgres(element: _Saved, compiler: Any, **kw: Any) -> str:
    decision, paid = (compiler.process(clause, **kw) for clause in element.clauses)
    quote = "CAST(able.one ->> 'quote' AS bigint)"
    every = f"jsonb_array_elements(CAST({decision} AS jsonb) -> 'candidates') AS able(one)"
    return f"(SELECT {_less(quote, paid)} FROM {every} WHERE able.one ->> 'rank' IS NOT NULL AND {quote} > 0)"  # noqa: S608 - columns of ours


def _less(quote: str, paid: str) -> str:
    return f"CASE WHEN count(*) > 1 AND max({quote}) > {paid} THEN max({quote}) - {paid} ELSE 0 END"


def _settled() -> Any:
    ended, amount = postings.c.kind == "close", postings.c.d_settled
    bought = and_(ended, purchases.c.state.in_(sorted(BOUGHT)))
    lost = and_(bought, purchases.c.state != "succeeded")
    refused = and_(ended, purchases.c.state == "succeeded", qa_reports.c.verdict == Verdict.REJECTED.value, ~_delivered_anyway())
    return (
        select(
            jobs.c.project,
            purchases.c.backend,
            purchases.c.model,
            func.sum(case((bought, 1), else_=0)).label("purchases"),
            func.sum(case((bought, purchases.c.hold), else_=0)).label("quoted"),
            func.sum(case((ended, amount), else_=0)).label("charged"),
            func.sum(case((ended, 0), else_=amount)).label("corrections"),
            func.sum(case((lost, amount), else_=0)).label("failed"),
            func.sum(case((refused, amount), else_=0)).label("rejected"),
        )
        .select_from(postings)
        .join(purchases, purchases.c.purchase_id == postings.c.purchase_id)
        .join(jobs, jobs.c.job_id == purchases.c.job_id)
        .outerjoin(qa_reports, qa_reports.c.take_id == purchases.c.purchase_id)
        .where(postings.c.kind.in_(("close", "adjust")), *_INSIDE)
        .group_by(jobs.c.project, purchases.c.backend, purchases.c.model)
    )


def _delivered_anyway() -> ColumnElement[bool]:
    """That the take of the row is in a delivered cut: a person took it although it was rejected."""
    same = and_(deliveries.c.job_id == cuts.c.job_id, deliveries.c.version == cuts.c.version)
    mine = (cuts.c.job_id == purchases.c.job_id, cuts.c.version == purchases.c.version)
    # Ids are long and random: one is in the list where its text is.
    inside = cuts.c.takes.contains(purchases.c.purchase_id)
    return exists().where(same, *mine, inside)


def _routed() -> Any:
    key = (jobs.c.project, purchases.c.backend, purchases.c.model)
    # Not a condition: by it SQLite would go through every purchase there ever was, and not through the period's postings.
    made = and_(purchases.c.kind == "render", purchases.c.state == "succeeded")
    saved = func.sum(case((made, _Saved(decisions.c.decision, postings.c.d_settled)), else_=0)).label("saved_by_routing")
    return (
        select(*key, saved)
        .select_from(postings)
        .join(purchases, purchases.c.purchase_id == postings.c.purchase_id)
        .join(decisions, decisions.c.purchase_id == purchases.c.purchase_id)
        .join(jobs, jobs.c.job_id == purchases.c.job_id)
        .where(postings.c.kind == "close", *_INSIDE)
        .group_by(*key)
    )


def _reused() -> Any:
    key = (jobs.c.project, purchases.c.backend, purchases.c.model)
    same = and_(deliveries.c.job_id == reuses.c.job_id, deliveries.c.version == reuses.c.version)
    return (
        select(*key, func.sum(reuses.c.saved).label("saved_by_reuse"))
        .select_from(reuses)
        .join(deliveries, same)
        .join(takes, takes.c.take_id == reuses.c.take_id)
        .join(purchases, purchases.c.purchase_id == takes.c.take_id)
        .join(jobs, jobs.c.job_id == reuses.c.job_id)
        .where(deliveries.c.delivered_at >= _SINCE, deliveries.c.delivered_at < _UNTIL)
        .group_by(*key)
    )
