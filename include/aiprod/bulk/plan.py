"""What a campaign would do, before anything is written or spent: rows, problems, prices, and what today's money reaches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from aiprod.batching import asks_a_person
from aiprod.budgets import Scope, cap_on, job_budget
from aiprod.bulk.changing import change_of
from aiprod.bulk.naming import DEFAULT, Naming
from aiprod.bulk.rows import Problem, Row, Table, read
from aiprod.catalog import Catalog
from aiprod.errors import SpecError
from aiprod.estimating import price
from aiprod.ledger import Connection, Ledger, approvals, campaigns, caps, jobs, limits, purchases, queue
from aiprod.ledger.campaigns import Row as Entered
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.schema import OPEN
from aiprod.models import JobSpec, Micros, Noun, Slug, fingerprint
from aiprod.planning import preset_of

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
    #: `later`: it changed, and cannot be made again before what `why` says is over.
    change: Literal["new", "changed", "same", "later"]
    order: JobSpec
    expected: Micros = 0
    #: The most it may cost: worst case, or what its own budget has left.
    most: Micros = 0
    #: Shots of a changed row that use a take again.
    again: int = 0
    why: str = ""


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
        return tuple(row for row in self.rows if row.change in ("new", "changed"))

    @property
    def later(self) -> tuple[str, ...]:
        """One line per changed row that cannot be made again now; the next run picks it up."""
        return tuple(
            f"line {row.line} ({row.key}): {row.why}; its change is picked up by the next run"
            for row in self.rows
            if row.change == "later"
        )

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
        before: dict[str, list[Entered]] = {}
        for entered in campaigns.rows(conn, wanted.campaign):
            before.setdefault(entered.row_key, []).append(entered)
        cap = caps.balance(conn, "campaign", wanted.campaign)
        may_cost = {} if cap is None else _may_still_cost(conn, wanted.campaign, now)
        today_left = _left_today(conn, catalog, now)
    if terms is not None and terms.cancelled_at is not None:
        raise SpecError([f"campaign: {wanted.campaign} was cancelled by {terms.cancelled_by}; give a new one another name"])
    planned: list[PlannedRow] = []
    for row in rows:
        try:
            planned.append(_planned(ledger, catalog, row, before.get(row.key, []), now))
        except SpecError as error:
            problems += [Problem(line=row.line, column="", message=told, file=row.file) for told in error.problems]
    planned, clashes = _named_apart(wanted.campaign, naming, planned, {k: r[-1].revision for k, r in before.items()})
    to_enter = [row for row in planned if row.change in ("new", "changed")]
    replaced = {before[row.key][-1].job_id for row in to_enter if row.key in before}
    still = sum(sent if job_id in replaced else left for job_id, (left, sent) in may_cost.items())
    spent = 0 if cap is None else cap.settled + still
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


def _planned(ledger: Ledger, catalog: Catalog, row: Row, before: Sequence[Entered], now: datetime) -> PlannedRow:
    """What a row comes to, and its price. Raises `SpecError` when it cannot be made."""
    found = PlannedRow(line=row.line, key=row.key, change="same", order=row.order)
    if before and before[-1].content_sha == row.order.fingerprint:
        return found
    preset = preset_of(row.order, catalog)
    if asks_a_person(preset):
        raise SpecError([f"preset: {row.order.preset} asks a person about every video; order it by itself"])
    change = change_of(ledger, catalog, before, row.order) if before else None
    if change is not None and change.kind in ("same", "later"):
        return found.model_copy(update={"change": change.kind, "why": change.why})
    kind = "changed" if change else "new"
    if change is not None and change.kind == "back":
        return found.model_copy(update={"change": kind})
    if change is not None and change.draft is not None:
        priced, most, again = change.draft.estimate, change.draft.most, len(change.draft.kept)
    else:
        _, priced, _ = price(f"row-{row.line}", row.order, catalog, now=now)
        most, again = min(job_budget(row.order, preset), priced.worst_case), 0
    sums = {"expected": min(most, priced.expected), "most": most, "again": again}
    return found.model_copy(update={"change": kind, **sums})


def _named_apart(
    campaign: str, naming: Naming, planned: Sequence[PlannedRow], revisions: Mapping[str, int]
) -> tuple[list[PlannedRow], list[Problem]]:
    """Leave out every row whose video would have the name of an earlier row's."""
    taken: dict[str, PlannedRow] = {}
    apart: list[PlannedRow] = []
    problems: list[Problem] = []
    for row in planned:
        revision = revisions.get(row.key, 0) + (row.change in ("new", "changed"))
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


def _may_still_cost(conn: Connection, campaign: str, now: datetime) -> dict[str, tuple[Micros, Micros]]:
    """What jobs of a campaign that wait or go through a run may still cost: what is left of their envelopes, and where a
    job is given up, what vendors were sent and may still bill.
    """
    found = {}
    for job_id in campaigns.active(conn, campaign, since=now - queue.ABANDONED):
        envelope = approvals.envelope(conn, job_id, jobs.latest(conn, job_id))
        spent = caps.balance(conn, "job", job_id)
        left = max(0, (envelope.amount if envelope else 0) - (spent.settled if spent else 0))
        made = [p for n in jobs.versions(conn, job_id) for p in purchases.of_job(conn, job_id, n, kind=None)]
        found[job_id] = left, sum(p.hold for p in made if p.state in OPEN and p.state != "held")
    return found


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
