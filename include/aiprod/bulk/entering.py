"""From an approved plan to jobs that wait for a run: new rows entered, changed rows made anew, the same rows left alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Literal

from aiprod import cancelling
from aiprod.batching import VALID, enter_approved
from aiprod.budgets import Scope
from aiprod.bulk.changing import Change, change_of
from aiprod.bulk.plan import Plan, PlannedRow, Wanted
from aiprod.bulk.revising import enter_version
from aiprod.catalog import Catalog
from aiprod.errors import JobFailed, JobMoved, SpecError
from aiprod.ledger import Connection, Ledger, answerers, approvals, campaigns, caps, gates, jobs, limits, queue, results
from aiprod.ledger.campaigns import Row
from aiprod.ledger.engine import now as database_now
from aiprod.models import Micros, Noun, dollars, fingerprint
from aiprod.storage import Storage

__all__ = ["Entered", "answer_within", "approve", "approved", "enter", "keep", "kept", "show"]

#: Rows entered in one transaction: nobody waits long for the ledger, and what was entered before a crash stays entered.
_TOGETHER = 25


class Entered(Noun):
    """What entering a plan came to, in rows.

    One line per row whose change has to wait for `later`, and per row that could not be entered any more: `refused`.
    """

    new: int = 0
    changed: int = 0
    same: int = 0
    later: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


#: What became of a row, and why.
_Outcome = tuple[Literal["new", "changed", "same", "later", "refused"], str]


def keep(storage: Storage, plan: Plan) -> str:
    """Store a plan, so that what is approved is what is entered, whatever the source says by then; return where."""
    place = f"campaigns/{plan.wanted.campaign}/plans/{plan.sha[:16]}.json"
    return storage.keep_text(plan.model_dump_json() + "\n", place).path


def kept(storage: Storage, place: str) -> Plan:
    """Return a stored plan."""
    with storage.local(place) as file:
        return Plan.model_validate_json(file.read_text(encoding="utf-8"))


def approve(ledger: Ledger, catalog: Catalog, plan: Plan, *, by: str) -> Micros:
    """Let a campaign cost what its plan says, in all; return the amount that stands. A higher one from before is kept.

    Raises `NotAMember` when a row's project is hidden from `by`, and `SamePerson` when a preset of its rows wants another
    person's word than that of who asks for them.
    """
    name = plan.wanted.campaign
    for project in {row.order.project for row in plan.rows}:
        catalog.access.require_member(project, by)
    _require_two(plan, by)
    with ledger.write() as conn:
        standing = campaigns.approve(conn, name, plan.amount, by=by)
        if standing >= plan.amount:
            return standing
        now = database_now(conn)
        return limits.set_cap(conn, Scope(kind="campaign", name=name), plan.amount, by=by, catalog=catalog, now=now).cap


def show(ledger: Ledger, plan: Plan, *, run_id: str, task_id: str) -> None:
    """Note that a person is asked about this very plan. Raises `JobFailed` when the question shows another.

    Airflow keeps the first text of a question, even after a retry or a clear.
    """
    with ledger.write() as conn:
        name = f"campaign:{plan.wanted.campaign}"
        shown = approvals.show(conn, run_id, task_id, name, 1, now=database_now(conn), content=plan.sha)[1]
    if shown != plan.sha:
        raise JobFailed(
            f"campaign {plan.wanted.campaign}: its rows changed after they were shown; start a new run to be asked about them"
        )


def answer_within(catalog: Catalog, plan: Plan) -> timedelta:
    """Return how long people have to answer for a plan: as long as the most patient preset of what is to be entered says."""
    return timedelta(hours=max(catalog.presets[row.order.preset].approval_hours for row in plan.to_enter))


def approved(ledger: Ledger, plan: Plan) -> bool:
    """Whether what a plan costs was approved by now, by whomever; nobody needs to approve what costs nothing."""
    with ledger.read() as conn:
        cap = caps.balance(conn, "campaign", plan.wanted.campaign)
    return plan.amount <= (cap.cap if cap else 0)


def _require_two(plan: Plan, by: str) -> None:
    if plan.two_people:
        answerers.require_other(f"campaign {plan.wanted.campaign}", {"ordered": plan.wanted.by}, by=by)


def enter(ledger: Ledger, catalog: Catalog, plan: Plan) -> Entered:
    """Enter the rows of an approved plan. Doing it again, after a crash or with the same source, changes nothing.

    A changed row is a new version of its job, in which takes of shots that stay are used again. Where a version cannot say
    what changed (`bulk.changing`) another job takes its place, and what was not delivered is cancelled: holds are given
    back, and vendors are asked to stop. Raises `JobFailed` when nobody approved the plan's amount.
    """
    by = _begin(ledger, plan)
    outcomes: list[_Outcome] = []
    for start in range(0, len(plan.to_enter), _TOGETHER):
        some = plan.to_enter[start : start + _TOGETHER]
        entered = ledger.transact(lambda conn, some=some: _enter_new(conn, catalog, plan.wanted, some, by=by))  # type: ignore[misc]
        for row, outcome in zip(some, entered, strict=True):
            changed = outcome[0] == "changed"
            outcomes.append(_enter_changed(ledger, catalog, plan.wanted, row, by=by) if changed else outcome)
    told = [outcome for outcome, _ in outcomes]
    return Entered(
        new=told.count("new"),
        changed=told.count("changed"),
        same=sum(row.change == "same" for row in plan.rows) + told.count("same"),
        later=plan.later + tuple(line for outcome, line in outcomes if outcome == "later"),
        refused=tuple(line for outcome, line in outcomes if outcome == "refused"),
    )


def _begin(ledger: Ledger, plan: Plan) -> str:
    """Write down what the campaign is made from; return who approved it. Raises `JobFailed` when nobody did."""
    wanted = plan.wanted
    with ledger.write() as conn:
        if plan.amount == 0:
            campaigns.approve(conn, wanted.campaign, 0, by="nobody: it costs nothing")
        cap = caps.balance(conn, "campaign", wanted.campaign)
        by = campaigns.approved_by(conn, wanted.campaign)
        if cap is None or by is None or cap.cap < plan.amount:
            raise JobFailed(f"campaign {wanted.campaign}: nobody approved {dollars(plan.amount)}; nothing was entered")
        _require_two(plan, by)
        now = database_now(conn)
        campaigns.set_terms(
            conn, wanted.campaign, source=wanted.source, naming=wanted.naming, in_flight=wanted.in_flight, by=by, now=now
        )
    return by


def _enter_new(conn: Connection, catalog: Catalog, wanted: Wanted, some: Sequence[PlannedRow], *, by: str) -> list[_Outcome]:
    """Enter those of a few rows that are new; return what each is: `new`, `same`, `refused` and why, or `changed`."""
    now = database_now(conn)
    known = {row.row_key: row for row in campaigns.rows(conn, wanted.campaign, [planned.key for planned in some])}
    outcomes: list[_Outcome] = []
    for planned in some:
        last = known.get(planned.key)
        if last is not None:
            outcomes.append(("same" if last.content_sha == planned.order.fingerprint else "changed", ""))
            continue
        try:
            job_id = _enter_job(conn, catalog, wanted, planned, 1, by=by, now=now)
        except SpecError as error:
            # Its price was right when the plan was made: what it is refused for has changed since.
            outcomes.append(("refused", _line(planned, error)))
            continue
        campaigns.enter_row(conn, wanted.campaign, _row(planned, 1, job_id), now=now)
        outcomes.append(("new", ""))
    return outcomes


def _enter_changed(ledger: Ledger, catalog: Catalog, wanted: Wanted, planned: PlannedRow, *, by: str) -> _Outcome:
    """Enter one changed row; return whether it is `changed`, `same`, has to wait for `later`, or is `refused`, and why."""
    with ledger.read() as conn:
        before = campaigns.rows(conn, wanted.campaign, [planned.key])
    gone = False
    try:
        change = change_of(ledger, catalog, before, planned.order)
        if change.kind not in ("same", "later"):
            gone = ledger.transact(lambda conn: _change(conn, catalog, wanted, planned, change, before[-1], by=by))
    except SpecError as error:
        return "refused", _line(planned, error)
    except JobMoved as error:
        change = Change("later", before[-1].job_id, why=str(error))
    if change.kind == "same":
        return "same", ""
    if change.kind == "later":
        return "later", f"line {planned.line} ({planned.key}): {change.why}; its change is picked up by the next run"
    if gone:
        # The flag stands already; this gives holds back and stops what runs. What was delivered in between stays.
        with suppress(JobMoved):
            cancelling.cancel_job(ledger, catalog, before[-1].job_id, by=by)
    return "changed", ""


def _change(
    conn: Connection, catalog: Catalog, wanted: Wanted, planned: PlannedRow, change: Change, last: Row, *, by: str
) -> bool:
    """Write a row's next revision, with the version or the job it is; return whether another job was given up for it.

    Raises `JobMoved` when the row, or its job, went on since somebody looked.
    """
    now, revision = database_now(conn), last.revision + 1
    if campaigns.rows(conn, wanted.campaign, [planned.key])[-1] != last:
        raise JobMoved(f"row {planned.key} was changed by somebody else in the same moment")
    job_id = change.job_id
    if change.draft is not None:
        enter_version(conn, catalog, change.draft, campaign=wanted.campaign, by=by, ordered_by=wanted.by, valid=VALID, now=now)
    elif change.kind == "job":
        job_id = _enter_job(conn, catalog, wanted, planned, revision, by=by, now=now)
    campaigns.enter_row(conn, wanted.campaign, _row(planned, revision, job_id), now=now)
    # Its newest version: that an earlier one is delivered is no reason to buy what nobody wants any more.
    if job_id == last.job_id or results.delivery(conn, last.job_id, jobs.latest(conn, last.job_id)) is not None:
        return False
    gates.cancel_job(conn, last.job_id, by=f"{by}: the row changed", now=now)
    queue.take(conn, last.job_id, now=now)
    return True


def _enter_job(
    conn: Connection, catalog: Catalog, wanted: Wanted, planned: PlannedRow, revision: int, *, by: str, now: datetime
) -> str:
    job_id = _free_name(conn, wanted.campaign, planned.key, revision)
    enter_approved(conn, catalog, job_id, planned.order, campaign=wanted.campaign, by=by, ordered_by=wanted.by, now=now)
    return job_id


def _row(planned: PlannedRow, revision: int, job_id: str) -> Row:
    content = planned.order.fingerprint
    return Row(row_key=planned.key, revision=revision, job_id=job_id, line=planned.line, content_sha=content, published=None)


def _line(planned: PlannedRow, error: SpecError) -> str:
    return f"line {planned.line} ({planned.key}): {'; '.join(error.problems)}"


def _free_name(conn: Connection, campaign: str, key: str, revision: int) -> str:
    """The id of a row's job: campaign and key where that is a good name and nobody has it, else with a mark of its own."""
    later = f"-r{revision}" if revision > 1 else ""
    plain = f"{campaign}-{key}{later}"
    if re.fullmatch(r"[a-z0-9][a-z0-9_-]*", key) and len(plain) <= 64 and not jobs.known(conn, plain):
        return plain
    readable = re.sub(r"[^a-z0-9_-]+", "-", key.lower()).strip("-_")[:16]
    return "-".join(filter(None, [campaign[:32], readable, fingerprint([campaign, key, revision])[:12]]))
