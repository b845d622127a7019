"""What a period cost and saved, added up by the database: one row per project, backend and model, however many purchases."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, and_, case, exists, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement

from aiprod.ledger.schema import cuts, decisions, deliveries, jobs, postings, purchases, qa_reports, reuses, takes
from aiprod.ledger.states import CHARGED, STEPS
from aiprod.models import Micros, Noun, Verdict

__all__ = ["Spent", "spent"]

#: Where a vendor may have charged; holds that were given back unsent are not purchases of anything.
_BOUGHT = tuple(sorted({STEPS[step][1] for step in CHARGED}))


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
    for statement in (_settled(since, until), _routed(since, until), _reused(since, until)):
        for row in conn.execute(statement).mappings():
            key = (row["project"], row["backend"], row["model"])
            rows.setdefault(key, {}).update({name: int(value or 0) for name, value in row.items() if name not in _KEY})
    return [Spent(project=key[0], backend=key[1], model=key[2], **figures) for key, figures in sorted(rows.items())]


_KEY = ("project", "backend", "model")


class _DearestQuote(FunctionElement[int]):
    """The highest quote among the candidates that a decision could have chosen; NULL where there was only one."""

    type = BigInteger()
    inherit_cache = True


@compiles(_DearestQuote, "sqlite")
def _sqlite(element: _DearestQuote, compiler: Any, **kw: Any) -> str:
    decision = compiler.process(element.clauses, **kw)
    quote = "json_extract(value, '$.quote')"
    able = f"json_extract(value, '$.rank') IS NOT NULL AND {quote} > 0"
    return f"(SELECT CASE WHEN count(*) > 1 THEN max({quote}) END FROM json_each({decision}, '$.candidates') WHERE {able})"  # noqa: S608 - a column of ours


@compiles(_DearestQuote, "postgresql")
def _postgres(element: _DearestQuote, compiler: Any, **kw: Any) -> str:
    decision = compiler.process(element.clauses, **kw)
    quote = "CAST(able.one ->> 'quote' AS bigint)"
    every = f"jsonb_array_elements(CAST({decision} AS jsonb) -> 'candidates') AS able(one)"
    fit = f"able.one ->> 'rank' IS NOT NULL AND {quote} > 0"
    return f"(SELECT CASE WHEN count(*) > 1 THEN max({quote}) END FROM {every} WHERE {fit})"  # noqa: S608 - a column of ours


def _inside(since: datetime, until: datetime) -> tuple[ColumnElement[bool], ...]:
    return (postings.c.at >= since, postings.c.at < until)


def _settled(since: datetime, until: datetime) -> Any:
    ended, amount = postings.c.kind == "close", postings.c.d_settled
    bought = and_(ended, purchases.c.state.in_(_BOUGHT))
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
        .where(postings.c.kind.in_(("close", "adjust")), *_inside(since, until))
        .group_by(jobs.c.project, purchases.c.backend, purchases.c.model)
    )


def _delivered_anyway() -> ColumnElement[bool]:
    """That the take of the row is in a delivered cut: a person took it although it was rejected."""
    same = and_(deliveries.c.job_id == cuts.c.job_id, deliveries.c.version == cuts.c.version)
    mine = (cuts.c.job_id == purchases.c.job_id, cuts.c.version == purchases.c.version)
    # Ids are long and random: one is in the list where its text is.
    inside = cuts.c.takes.contains(purchases.c.purchase_id)
    return exists().where(same, *mine, inside)


def _routed(since: datetime, until: datetime) -> Any:
    chosen = (
        select(
            jobs.c.project,
            purchases.c.backend,
            purchases.c.model,
            postings.c.d_settled.label("paid"),
            _DearestQuote(decisions.c.decision).label("dearest"),
        )
        .select_from(postings)
        .join(purchases, purchases.c.purchase_id == postings.c.purchase_id)
        .join(decisions, decisions.c.purchase_id == purchases.c.purchase_id)
        .join(jobs, jobs.c.job_id == purchases.c.job_id)
        .where(postings.c.kind == "close", purchases.c.kind == "render", purchases.c.state == "succeeded", *_inside(since, until))
        .subquery()
    )
    less = case((chosen.c.dearest > chosen.c.paid, chosen.c.dearest - chosen.c.paid), else_=0)
    key = (chosen.c.project, chosen.c.backend, chosen.c.model)
    return select(*key, func.sum(less).label("saved_by_routing")).group_by(*key)


def _reused(since: datetime, until: datetime) -> Any:
    key = (jobs.c.project, purchases.c.backend, purchases.c.model)
    same = and_(deliveries.c.job_id == reuses.c.job_id, deliveries.c.version == reuses.c.version)
    return (
        select(*key, func.sum(reuses.c.saved).label("saved_by_reuse"))
        .select_from(reuses)
        .join(deliveries, same)
        .join(takes, takes.c.take_id == reuses.c.take_id)
        .join(purchases, purchases.c.purchase_id == takes.c.take_id)
        .join(jobs, jobs.c.job_id == reuses.c.job_id)
        .where(deliveries.c.delivered_at >= since, deliveries.c.delivered_at < until)
        .group_by(*key)
    )
