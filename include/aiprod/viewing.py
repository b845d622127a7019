"""How jobs stand: one in full, many as rows, and whether anything changed. Only reads."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from aiprod import finishing, ordering
from aiprod.budgets import job_budget
from aiprod.catalog import Catalog
from aiprod.errors import SpecError
from aiprod.ledger import (
    Connection,
    Ledger,
    answerers,
    approvals,
    caps,
    erasures,
    job_status,
    jobs,
    listings,
    purchases,
    queue,
    results,
)
from aiprod.ledger import revisions as ledger_revisions
from aiprod.ledger.jobs import Entry, Priced
from aiprod.ledger.listings import Listed
from aiprod.ledger.purchases import Purchase
from aiprod.ledger.schema import OPEN
from aiprod.models import NEEDS_YOU, JobFilter, JobSpec, JobStatus
from aiprod.planning import changes
from aiprod.showing import shots_of
from aiprod.views import (
    ApprovalAsked,
    DecisionLine,
    JobCosts,
    JobPage,
    JobRow,
    JobSums,
    JobView,
    PurchaseCost,
    ReviewAsked,
    RunRow,
    VersionRow,
)

__all__ = ["costs_of_job", "listing", "revisions", "view"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def view(ledger: Ledger, catalog: Catalog, job_id: str) -> JobView:
    """Return everything about a job, read in one transaction. Raises `JobUnknown`."""
    with ledger.read() as conn:
        # Before all else: what changes while we read makes another mark, and is looked at again.
        revision = ledger_revisions.revisions(conn, [job_id]).get(job_id, "")
        entry = jobs.entry(conn, job_id)
        status = job_status.status_of(conn, job_id)
        written = [jobs.priced(conn, job_id, version) for version in jobs.versions(conn, job_id)]
        newest = written[-1]
        version = newest.manifest.version
        bought = _bought(conn, job_id, written)
        delivery = results.delivery(conn, job_id, version)
        return JobView(
            job_id=job_id,
            status=status,
            revision=revision,
            version=version,
            project=entry.spec.project,
            preset=entry.spec.preset,
            priority=entry.spec.priority,
            campaign=entry.campaign,
            created_at=entry.created_at,
            created_by=entry.created_by,
            order=entry.spec,
            manifest=newest.manifest,
            estimate=newest.estimate,
            versions=_versions(conn, written),
            envelope=approvals.envelope(conn, job_id, version),
            approval=_approval(conn, catalog, entry, newest) if status is JobStatus.WAITING_APPROVAL else None,
            review=_review(conn, catalog, entry, newest) if status is JobStatus.FINAL_APPROVAL else None,
            shots=shots_of(conn, newest.manifest, bought),
            decisions=_decisions(conn, job_id, version),
            delivery=delivery,
            costs=_sums(conn, catalog, entry.spec, newest, bought),
            waits=queue.waiting(conn, [job_id]).get(job_id),
            problems=() if delivery is not None else tuple(jobs.failures_of(conn, job_id, version)),
            runs=tuple(RunRow(**run.model_dump()) for run in jobs.runs_of(conn, job_id)),
            needs_you=status in NEEDS_YOU,
            erased=erasures.of_job(conn, job_id),
        )


def listing(ledger: Ledger, wanted: JobFilter | None = None, *, before: str | None = None, limit: int = 50) -> JobPage:
    """Return a page of the wanted jobs, newest first. `before` is the `next` of a page.

    Raises `SpecError` for a `before` that no page gave.
    """
    mark = None if before is None else _read_mark(before)
    with ledger.read() as conn:
        # One more than is shown tells whether there is another page.
        found = listings.page(conn, wanted or JobFilter(), before=mark, limit=limit + 1)
    shown = found[:limit]
    return JobPage(jobs=tuple(map(_row, shown)), next=_mark(shown[-1]) if shown and len(found) > limit else None)


def _row(found: Listed) -> JobRow:
    kept = found.model_dump(include=set(JobRow.model_fields) & set(Listed.model_fields))
    return JobRow(
        project=found.spec.project,
        preset=found.spec.preset,
        title=found.spec.title(),
        needs_you=found.status in NEEDS_YOU,
        **kept,
    )


def _mark(last: Listed) -> str:
    micros = (last.created_at - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(f"{micros}:{last.job_id}".encode()).decode().rstrip("=")


def _read_mark(mark: str) -> tuple[datetime, str]:
    try:
        micros, job_id = base64.b64decode(mark + "=" * (-len(mark) % 4), b"-_", validate=True).decode().split(":", 1)
        return _EPOCH + timedelta(microseconds=int(micros)), job_id
    except (binascii.Error, ValueError, OverflowError):
        raise SpecError(["before: is no page's `next`"]) from None


def revisions(ledger: Ledger, job_ids: Sequence[str]) -> dict[str, str]:
    """Return a mark per known job that changes whenever anything in its view would. One round trip."""
    with ledger.read() as conn:
        return ledger_revisions.revisions(conn, job_ids)


def costs_of_job(ledger: Ledger, catalog: Catalog, job_id: str) -> JobCosts:
    """Return every purchase of a job in all its versions, and the sums. Raises `JobUnknown`."""
    with ledger.read() as conn:
        entry = jobs.entry(conn, job_id)
        written = [jobs.priced(conn, job_id, version) for version in jobs.versions(conn, job_id)]
        bought = _bought(conn, job_id, written)
        shots = {p.purchase_id: p.shot for p in bought if p.kind == "render"}
        lines = [_cost(p, shots.get(p.purchase_id) or shots[p.subject]) for p in sorted(bought, key=lambda p: p.created_at)]
        return JobCosts(job_id=job_id, purchases=tuple(lines), sums=_sums(conn, catalog, entry.spec, written[-1], bought))


def _bought(conn: Connection, job_id: str, written: Sequence[Priced]) -> list[Purchase]:
    """Every purchase of every version."""
    return [p for w in written for p in purchases.of_job(conn, job_id, w.manifest.version, kind=None)]


def _cost(purchase: Purchase, shot: int) -> PurchaseCost:
    same = set(PurchaseCost.model_fields) & set(Purchase.model_fields)
    difference = None if purchase.charged is None or purchase.state in OPEN else purchase.charged - purchase.hold
    return PurchaseCost(shot=shot, difference=difference, **purchase.model_dump(include=same))


def _sums(conn: Connection, catalog: Catalog, spec: JobSpec, newest: Priced, bought: Sequence[Purchase]) -> JobSums:
    job_id = newest.manifest.job_id
    cap = caps.balance(conn, "job", job_id)
    return JobSums(
        expected=newest.estimate.expected,
        worst_case=newest.estimate.worst_case,
        held=sum(p.hold for p in bought if p.state in OPEN),
        charged=sum(p.charged or 0 for p in bought),
        saved=results.saved(conn, job_id),
        budget=job_budget(spec, catalog.presets[spec.preset]) if cap is None else cap.cap,
        budget_left=ordering.budget_left(conn, catalog, job_id),
    )


def _versions(conn: Connection, written: Sequence[Priced]) -> tuple[VersionRow, ...]:
    rows = []
    for before, one in zip((None, *written), written, strict=False):
        rows.append(
            VersionRow(
                version=one.manifest.version,
                created_at=one.created_at,
                created_by=one.created_by,
                changes=() if before is None else _changes(conn, before, one),
                expected=one.estimate.expected,
                worst_case=one.estimate.worst_case,
            )
        )
    return tuple(rows)


def _changes(conn: Connection, before: Priced, one: Priced) -> tuple[str, ...]:
    """What a version changed in the words, and which takes it keeps."""
    kept = results.reuses_of(conn, one.manifest.job_id, one.manifest.version)
    told = changes(before.manifest, one.manifest)
    again = [f"Shot {shot.index}" for shot in one.manifest.shots if shot.index not in kept]
    if kept:
        return (*told, f"{', '.join(again) or 'No shot'} made again, the takes of {len(kept)} others used again.")
    return told or ("Every shot is made again.",)


def _approval(conn: Connection, catalog: Catalog, entry: Entry, newest: Priced) -> ApprovalAsked:
    preset, manifest = catalog.presets[entry.spec.preset], newest.manifest
    asked = approvals.asked_at(conn, manifest.job_id, about="money")
    return ApprovalAsked(
        version=manifest.version,
        amount=ordering.amount_asked(conn, catalog, manifest.job_id, manifest.version),
        expected=newest.estimate.expected,
        worst_case=newest.estimate.worst_case,
        budget_left=ordering.budget_left(conn, catalog, manifest.job_id),
        answer_by=None if asked is None else asked + timedelta(hours=preset.approval_hours),
        not_by=answerers.creator(conn, catalog, manifest.job_id),
    )


def _review(conn: Connection, catalog: Catalog, entry: Entry, newest: Priced) -> ReviewAsked | None:
    preset, job_id, version = catalog.presets[entry.spec.preset], newest.manifest.job_id, newest.manifest.version
    made = results.cut(conn, job_id, version)
    if made is None:
        return None
    asked = approvals.asked_at(conn, job_id, about="cut")
    return ReviewAsked(
        version=version,
        reasons=finishing.review_of(conn, catalog, job_id, version).reasons,
        cut_sha=made.video.sha256,
        video=made.video,
        poster=made.poster,
        answer_by=None if asked is None else asked + timedelta(hours=preset.approval_hours),
        not_by=answerers.creator(conn, catalog, job_id),
    )


def _decisions(conn: Connection, job_id: str, version: int) -> tuple[DecisionLine, ...]:
    return tuple(
        DecisionLine(round=round, shot=choice.shot, purchase_id=purchase_id, chosen=choice.chosen, text=str(choice))
        for round, purchase_id, choice in jobs.decisions_of(conn, job_id, version)
    )
