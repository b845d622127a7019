"""What a campaign would do, before anything is written or spent: rows, problems, prices, and what today's money reaches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from aiprod.batching import asks_a_person
from aiprod.budgets import Scope, cap_on, job_budget
from aiprod.bulk.naming import DEFAULT, Naming
from aiprod.bulk.rows import Problem, Row, Table, read
from aiprod.catalog import Catalog
from aiprod.errors import SpecError
from aiprod.estimating import price
from aiprod.ledger import Connection, Ledger, approvals, campaigns, caps, jobs, limits, queue
from aiprod.ledger.engine import now as database_now
from aiprod.models import JobSpec, Micros, Noun, Slug, fingerprint

__all__ = ["Plan", "PlannedRow", "Wanted", "plan"]

_URGENCY = {"high": 0, "normal": 1, "low": 2}


class Wanted(Noun):
    """A campaign as somebody asks for it. `budget` in micro-dollars; None: as much as its rows may cost."""

    campaign: str
    source: str
    budget: Micros | None = None
    naming: str = DEFAULT
    in_flight: int | None = None
    defaults: dict[str, Any] = Field(default_factory=dict)
    #: Who asks for it; without a name, a schedule.
    by: str | None = None


class PlannedRow(Noun):
    """One row: what it orders, what became of it since the last time, and its price. Micro-dollars."""

    line: int
    key: str
    change: Literal["new", "changed", "same"]
    order: JobSpec
    expected: Micros = 0
    #: The most it may cost: worst case, or its own budget.
    most: Micros = 0


class Plan(Noun):
    """A campaign's rows as they stand in its source, and what carrying them out would cost. Micro-dollars.

    `amount` is what the campaign may cost in all, `approved` what somebody approved before. `fits_today` and
    `fits_campaign` count the rows that the day's budget, and the amount, reach at expected prices, most urgent first.
    """

    wanted: Wanted
    rows: tuple[PlannedRow, ...]
    problems: tuple[Problem, ...]
    #: One line per order that stands there twice under different keys.
    duplicates: tuple[str, ...]
    expected: Micros
    worst_case: Micros
    amount: Micros
    approved: Micros | None
    today_left: Micros
    fits_today: int
    fits_campaign: int
    #: Whether a preset of its rows wants the word of another person than who asks for them.
    two_people: bool = False

    @property
    def to_enter(self) -> tuple[PlannedRow, ...]:
        return tuple(row for row in self.rows if row.change != "same")

    @property
    def asks(self) -> bool:
        """Whether a person has to approve money that nobody approved yet."""
        return self.amount > (self.approved or 0)

    @property
    def sha(self) -> str:
        """What makes two plans the same to whoever approves them."""
        orders = [[row.key, row.change, row.order.fingerprint] for row in self.rows]
        return fingerprint([self.wanted.model_dump(mode="json"), orders, self.amount])


def plan(ledger: Ledger, catalog: Catalog, wanted: Wanted, table: Table) -> Plan:
    """Look at a campaign's rows without writing anything.

    A bad row is named and left out; it stops no other. Raises `SpecError` when the campaign itself cannot be: a name or a
    template that is none, or a campaign that was cancelled.
    """
    naming = _checked(wanted)
    rows, problems = read(table, wanted.defaults)
    with ledger.read() as conn:
        now = database_now(conn)
        terms = campaigns.terms(conn, wanted.campaign)
        before = {row.row_key: row for row in campaigns.rows(conn, wanted.campaign)}
        cap = caps.balance(conn, "campaign", wanted.campaign)
        may_cost = {} if cap is None else _may_still_cost(conn, wanted.campaign, now)
        today_left = _left_today(conn, catalog, now)
    if terms is not None and terms.cancelled_at is not None:
        raise SpecError([f"campaign: {wanted.campaign} was cancelled by {terms.cancelled_by}; give a new one another name"])
    planned: list[PlannedRow] = []
    for row in rows:
        known = before.get(row.key)
        if known is not None and known.content_sha == row.order.fingerprint:
            planned.append(PlannedRow(line=row.line, key=row.key, change="same", order=row.order))
            continue
        try:
            planned.append(_priced(row, catalog, "new" if known is None else "changed", now))
        except SpecError as error:
            problems += [Problem(line=row.line, column="", message=told, file=row.file) for told in error.problems]
    planned, clashes = _named_apart(wanted.campaign, naming, planned, {k: r.revision for k, r in before.items()})
    to_enter = [row for row in planned if row.change != "same"]
    replaced = {before[row.key].job_id for row in to_enter if row.key in before}
    spent = 0 if cap is None else cap.settled + sum(cost for job_id, cost in may_cost.items() if job_id not in replaced)
    worst_case = sum(row.most for row in to_enter)
    approved = None if cap is None else cap.cap
    amount = min(spent + worst_case, 10**15 if wanted.budget is None else wanted.budget) if to_enter else approved or 0
    return Plan(
        wanted=wanted,
        rows=tuple(planned),
        problems=tuple(sorted([*problems, *clashes], key=lambda problem: (problem.file, problem.line))),
        duplicates=tuple(_duplicates(planned)),
        expected=sum(row.expected for row in to_enter),
        worst_case=worst_case,
        amount=amount,
        approved=approved,
        today_left=today_left,
        fits_today=_reached(to_enter, today_left),
        fits_campaign=_reached(to_enter, max(amount, approved or 0) - spent),
        two_people=any(catalog.presets[row.order.preset].approver_differs for row in to_enter),
    )


def _checked(wanted: Wanted) -> Naming:
    problems = []
    try:
        TypeAdapter(Slug).validate_python(wanted.campaign)
    except ValidationError:
        problems.append("campaign: must be lower-case letters, digits, - and _, at most 64")
    if wanted.in_flight is not None and wanted.in_flight < 1:
        problems.append("in_flight: must be at least 1")
    if wanted.budget is not None and wanted.budget < 0:
        problems.append("budget: must not be negative")
    if problems:
        raise SpecError(problems)
    return Naming(wanted.naming)


def _priced(row: Row, catalog: Catalog, change: Literal["new", "changed"], now: datetime) -> PlannedRow:
    _, priced, _ = price(f"row-{row.line}", row.order, catalog, now=now)
    preset = catalog.presets[row.order.preset]
    if asks_a_person(preset):
        raise SpecError([f"preset: {row.order.preset} asks a person about every video; order it by itself"])
    most = min(job_budget(row.order, preset), priced.worst_case)
    expected = min(most, priced.expected)
    return PlannedRow(line=row.line, key=row.key, change=change, order=row.order, expected=expected, most=most)


def _named_apart(
    campaign: str, naming: Naming, planned: Sequence[PlannedRow], revisions: Mapping[str, int]
) -> tuple[list[PlannedRow], list[Problem]]:
    """Leave out every row whose video would have the name of an earlier row's."""
    taken: dict[str, PlannedRow] = {}
    apart: list[PlannedRow] = []
    problems: list[Problem] = []
    for row in planned:
        revision = revisions.get(row.key, 0) + (row.change != "same")
        name = naming.name(campaign, row.key, revision, row.order)
        first = taken.setdefault(name.lower(), row)
        if first is row:
            apart.append(row)
        else:
            message = f"its video would be called {name}, like that of line {first.line}; put {{row}} into the naming"
            problems.append(Problem(line=row.line, column="", message=message))
    return apart, problems


def _duplicates(planned: Iterable[PlannedRow]) -> list[str]:
    """Orders that stand there twice: bought twice, if nobody says otherwise."""
    first: dict[str, PlannedRow] = {}
    lines = []
    for row in planned:
        twin = first.setdefault(row.order.fingerprint, row)
        if twin is not row:
            lines.append(f"line {row.line} ({row.key}) orders the same as line {twin.line} ({twin.key}); both are bought")
    return lines


def _may_still_cost(conn: Connection, campaign: str, now: datetime) -> dict[str, Micros]:
    """What is left of the envelopes of a campaign's jobs that wait or go through a run."""
    left = {}
    for job_id in campaigns.active(conn, campaign, since=now - queue.ABANDONED):
        envelope = approvals.envelope(conn, job_id, jobs.latest(conn, job_id))
        spent = caps.balance(conn, "job", job_id)
        left[job_id] = max(0, (envelope.amount if envelope else 0) - (spent.settled if spent else 0))
    return left


def _left_today(conn: Connection, catalog: Catalog, now: datetime) -> Micros:
    said = {scope: word.amount for scope, word in limits.words(conn).items()}
    day = cap_on(Scope(kind="day"), catalog, now=now, words=said)
    return 0 if day is None else max(0, caps.headroom(conn, [day])[0])


def _reached(rows: Sequence[PlannedRow], money: Micros) -> int:
    """How many rows, most urgent first, an amount pays for at expected prices."""
    count = 0
    for row in sorted(rows, key=lambda row: (_URGENCY[row.order.priority], row.line)):
        money -= row.expected
        if money < 0:
            return count
        count += 1
    return count
