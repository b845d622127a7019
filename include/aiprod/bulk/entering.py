"""From an approved plan to jobs that wait for a run: new rows entered, changed rows replaced, the same rows left alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from aiprod import cancelling
from aiprod.batching import enter_approved
from aiprod.budgets import Scope
from aiprod.bulk.plan import Plan, PlannedRow, Wanted
from aiprod.catalog import Catalog
from aiprod.errors import JobFailed, JobMoved, SpecError
from aiprod.ledger import Connection, Ledger, answerers, approvals, campaigns, caps, gates, jobs, limits, queue, results
from aiprod.ledger.campaigns import Row
from aiprod.ledger.engine import now as database_now
from aiprod.models import Micros, Noun, dollars, fingerprint
from aiprod.storage import Storage

__all__ = ["Entered", "approve", "approved", "enter", "keep", "kept", "show"]

#: Rows entered in one transaction: nobody waits long for the ledger, and what was entered before a crash stays entered.
_TOGETHER = 25


class Entered(Noun):
    """What entering a plan came to, in rows; `refused` has one line per row that could not be entered any more."""

    new: int = 0
    changed: int = 0
    same: int = 0
    refused: tuple[str, ...] = ()


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

    A changed row is another job under the row's next revision. What its earlier revision has not delivered is cancelled:
    holds are given back, and vendors are asked to stop. Raises `JobFailed` when nobody approved the plan's amount.
    """
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
    told: list[str] = []
    refused: list[str] = []
    for start in range(0, len(plan.to_enter), _TOGETHER):
        some = plan.to_enter[start : start + _TOGETHER]
        outcomes = ledger.transact(lambda conn, some=some: _enter_some(conn, catalog, wanted, some, by=by))  # type: ignore[misc]
        for change, detail in outcomes:
            told.append(change)
            if change == "refused":
                refused.append(detail)
            elif change == "changed" and detail:
                # The flag stands already; this gives holds back and stops what runs. What was delivered in between stays.
                with suppress(JobMoved):
                    cancelling.cancel_job(ledger, catalog, detail, by=by)
    same = len(plan.rows) - len(plan.to_enter) + told.count("same")
    return Entered(new=told.count("new"), changed=told.count("changed"), same=same, refused=tuple(refused))


def _enter_some(
    conn: Connection, catalog: Catalog, wanted: Wanted, some: Sequence[PlannedRow], *, by: str
) -> list[tuple[str, str]]:
    """Enter a few rows; return what became of each: `new`, `changed` with the job it replaced, `same`, or `refused` and why."""
    now = database_now(conn)
    known: dict[str, list[Row]] = {}
    for row in campaigns.rows(conn, wanted.campaign, [planned.key for planned in some]):
        known.setdefault(row.row_key, []).append(row)
    outcomes = []
    for planned in some:
        try:
            outcomes.append(_enter_one(conn, catalog, wanted, planned, known.get(planned.key, []), by=by, now=now))
        except SpecError as error:
            # Its price was right when the plan was made: what it is refused for has changed since.
            outcomes.append(("refused", f"line {planned.line} ({planned.key}): {'; '.join(error.problems)}"))
    return outcomes


def _enter_one(
    conn: Connection, catalog: Catalog, wanted: Wanted, planned: PlannedRow, before: Sequence[Row], *, by: str, now: datetime
) -> tuple[str, str]:
    campaign, content = wanted.campaign, planned.order.fingerprint
    last = before[-1] if before else None
    if last is not None and last.content_sha == content:
        return "same", ""
    revision = (last.revision if last else 0) + 1
    # A row that is again what it was once: what was delivered for it then is delivered for it now.
    twin = next((row for row in reversed(before) if row.content_sha == content and _delivered(conn, row.job_id)), None)
    job_id = twin.job_id if twin else _free_name(conn, campaign, planned.key, revision)
    if twin is None:
        enter_approved(conn, catalog, job_id, planned.order, campaign=campaign, by=by, ordered_by=wanted.by, now=now)
    entered = Row(
        row_key=planned.key,
        revision=revision,
        job_id=job_id,
        line=planned.line,
        content_sha=content,
        published=twin.published if twin else None,
    )
    campaigns.enter_row(conn, campaign, entered, now=now)
    if last is None:
        return "new", ""
    if _delivered(conn, last.job_id):
        return "changed", ""
    gates.cancel_job(conn, last.job_id, by=f"{by}: the row changed", now=now)
    queue.take(conn, last.job_id, now=now)
    return "changed", last.job_id


def _delivered(conn: Connection, job_id: str) -> bool:
    # In any version: a redo that came to nothing takes back no video.
    return any(results.delivery(conn, job_id, version) is not None for version in jobs.versions(conn, job_id))


def _free_name(conn: Connection, campaign: str, key: str, revision: int) -> str:
    """The id of a row's job: campaign and key where that is a good name and nobody has it, else with a mark of its own."""
    later = f"-r{revision}" if revision > 1 else ""
    plain = f"{campaign}-{key}{later}"
    if re.fullmatch(r"[a-z0-9][a-z0-9_-]*", key) and len(plain) <= 64 and not jobs.known(conn, plain):
        return plain
    readable = re.sub(r"[^a-z0-9_-]+", "-", key.lower()).strip("-_")[:16]
    return "-".join(filter(None, [campaign[:32], readable, fingerprint([campaign, key, revision])[:12]]))
