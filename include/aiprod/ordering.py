"""From an order to an approved envelope: refuse bad input, write it down, ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from aiprod.budgets import approval_is_automatic, envelope_amount, job_budget
from aiprod.catalog import Catalog
from aiprod.errors import JobFailed, JobMoved
from aiprod.estimating import price
from aiprod.ledger import Connection, Ledger, answerers, approvals, caps, job_status, jobs, outbox
from aiprod.ledger.approvals import Answer
from aiprod.ledger.engine import now as database_now
from aiprod.models import Envelope, Estimate, JobSpec, JobStatus, Manifest, Micros, Noun, dollars

__all__ = [
    "Asked",
    "Entered",
    "SpendQuestion",
    "amount_asked",
    "answer_shown",
    "answer_spend",
    "approve_for_campaign",
    "ask_spend",
    "budget_left",
    "enter",
    "spend_question",
]

#: Where a person's word on the money counts.
_ASKED = (JobStatus.CREATED, JobStatus.ESTIMATED, JobStatus.WAITING_APPROVAL)


class Entered(Noun):
    """A job as it stands after its order came in."""

    job_id: str
    version: int
    new: bool


class SpendQuestion(Noun):
    """What a person is asked about a job's money. `shown_version` is the version Airflow shows, be it an older one."""

    manifest: Manifest
    estimate: Estimate
    preset: str
    amount: Micros
    budget_left: Micros
    shown_version: int
    answer_within: timedelta
    #: Who may not answer, where the preset wants a second person.
    not_by: str | None = None


class Asked(Noun):
    """What the question about money came to: an answer that stands, or what a person must be asked."""

    job_id: str
    version: int
    sequence: int
    amount: Micros
    answer: Literal["approved", "rejected", "expired"] | None
    by: str = ""


def enter(
    ledger: Ledger, catalog: Catalog, raw: Mapping[str, Any], *, job_id: str, run_id: str | None, by: str | None = None
) -> Entered:
    """Take an order: write job, manifest version 1 and estimate, or raise `SpecError` and write nothing.

    `job_id` is used when the order names none. The same id with the same order is the same job, and stays whoever
    ordered it first; with another order it is a `JobConflict`. Without `run_id` no run carries it yet.
    """
    spec = JobSpec.parse(raw)
    if by is not None:
        catalog.access.require_member(spec.project, by)
    job_id = spec.job_id or job_id
    with ledger.read() as conn:
        seen = jobs.known(conn, job_id)
        now = database_now(conn)
    priced = None if seen else price(job_id, spec, catalog, now=now)
    with ledger.write() as conn:
        now = database_now(conn)
        new = jobs.enter(conn, job_id, spec, now=now, by=by)
        if priced is not None:
            manifest, priced_at, names = priced
            jobs.write_manifest(conn, manifest, priced_at, names, by=by or "order", now=now)
        version = jobs.latest(conn, job_id)
        if run_id is not None and jobs.of_run(conn, run_id).get(job_id) != version:
            # Attaching again would forget that the run was settled, and with it that its approval is used up.
            jobs.attach_run(conn, run_id, job_id, version, now=now)
    return Entered(job_id=job_id, version=version, new=new)


def ask_spend(ledger: Ledger, catalog: Catalog, job_id: str, run_id: str) -> Asked:
    """Return the answer that stands for a job's money, giving it where the preset allows; else what to ask.

    An answer given before this run was last settled does not count: clearing `approve` asks anew. What presets approve
    by themselves is never more, over all versions of a job, than the preset's limit. A cancelled job asks nobody.
    """
    with ledger.write() as conn:
        now = database_now(conn)
        version = jobs.latest(conn, job_id)
        cancelled = jobs.cancelled_by(conn, job_id)
        if cancelled is not None:
            return Asked(job_id=job_id, version=version, sequence=0, amount=0, answer="rejected", by=f"{cancelled} (cancelled)")
        # Before looking: an answer that comes in between takes this number, and ours finds it taken.
        sequence = approvals.next_sequence(conn, job_id, version)
        standing = approvals.latest(conn, job_id, version)
        if standing is not None and _stands(conn, standing, run_id, now):
            return _asked(standing)
        spec = jobs.spec(conn, job_id)
        preset = catalog.presets[spec.preset]
        amount = amount_asked(conn, catalog, job_id, version)
        by = f"preset {spec.preset}"
        if approval_is_automatic(preset, amount + _used(conn, approvals.given_by(conn, job_id, by))):
            return _asked(_write(conn, catalog, job_id, version, "approved", sequence=sequence, by=by, now=now))
    return Asked(job_id=job_id, version=version, sequence=sequence, amount=amount, answer=None)


def spend_question(ledger: Ledger, catalog: Catalog, job_id: str, *, run_id: str, task_id: str) -> SpendQuestion:
    """Return what to ask about the newest manifest version, noting which version this question shows first."""
    with ledger.write() as conn:
        now = database_now(conn)
        version = jobs.latest(conn, job_id)
        priced = jobs.priced(conn, job_id, version)
        preset = jobs.spec(conn, job_id).preset
        within = timedelta(hours=catalog.presets[preset].approval_hours)
        amount = amount_asked(conn, catalog, job_id, version)
        told = {"job_id": job_id, "version": version, "amount_micros": amount, "as_of": now.isoformat()}
        told["answer_by"] = (now + within).isoformat()
        outbox.emit(conn, f"{job_id}.v{version}.approval_wanted.{run_id}", "approval_wanted", now=now, **told)
        return SpendQuestion(
            manifest=priced.manifest,
            estimate=priced.estimate,
            preset=preset,
            not_by=answerers.creator(conn, catalog, job_id),
            answer_within=within,
            amount=amount,
            budget_left=budget_left(conn, catalog, job_id),
            shown_version=approvals.show(conn, run_id, task_id, job_id, version, now=now)[0],
        )


def answer_shown(
    ledger: Ledger,
    catalog: Catalog,
    job_id: str,
    word: Literal["approved", "rejected", "expired"],
    *,
    by: str,
    run_id: str,
    task_id: str,
) -> Asked:
    """Write an answer given in Airflow: it counts for the version that was shown there. Raises like `answer_spend`."""
    with ledger.read() as conn:
        shown = approvals.first_shown(conn, run_id, task_id, job_id)
    if shown is None:
        raise JobFailed(f"job {job_id}: nothing was shown for run {run_id}, so there is nothing to answer")
    return answer_spend(ledger, catalog, job_id, shown[0], word, by=by, run_id=run_id)


def answer_spend(
    ledger: Ledger,
    catalog: Catalog,
    job_id: str,
    version: int,
    word: Literal["approved", "rejected", "expired"],
    *,
    by: str,
    run_id: str = "",
    amount: Micros | None = None,
    why: str = "",
) -> Asked:
    """Write a person's answer about one manifest version, once. An answer that stands already is returned instead.

    With `amount`, what the person saw, an answer that stands has to be this very one. Raises `JobMoved` when the job
    has moved on: what was not shown is not approved; and `SamePerson` where the preset wants another one's word.
    """
    with ledger.write() as conn:
        now = database_now(conn)
        if jobs.latest(conn, job_id) != version:
            raise JobMoved(f"job {job_id} is at version {jobs.latest(conn, job_id)}; the answer was about version {version}")
        # Before looking, as in `ask_spend`.
        sequence = approvals.next_sequence(conn, job_id, version)
        standing = approvals.latest(conn, job_id, version)
        if standing is not None and _stands(conn, standing, run_id, now):
            _require_same(standing, word, by=by, amount=amount)
            return _asked(standing)
        _require_asked(conn, catalog, job_id, version, amount)
        if word != "expired":
            answerers.require_entitled(conn, catalog, job_id, version, by=by)
        written = _write(conn, catalog, job_id, version, word, sequence=sequence, by=by, now=now)
        _require_same(written, word, by=by, amount=amount)
        if why.strip():
            jobs.remark(conn, job_id, version, word, f"{by}: {why.strip()}", now=now)
        return _asked(written)


def _require_same(standing: Answer, word: str, *, by: str, amount: Micros | None) -> None:
    """Of two who answer at once the second is told, unless it is the first one, asking again."""
    envelope = standing.envelope
    if amount is not None and (standing.answer, envelope.approved_by, envelope.amount) != (word, by, amount):
        about = f"{standing.answer} by {envelope.approved_by} with {dollars(envelope.amount)}"
        raise JobMoved(f"the money of job {envelope.job_id} version {envelope.version} was {about} before")


def _require_asked(conn: Connection, catalog: Catalog, job_id: str, version: int, amount: Micros | None) -> None:
    """Raise `JobMoved` unless a word on the money counts now, for the amount that was seen."""
    cancelled = jobs.cancelled_by(conn, job_id)
    if cancelled is not None:
        raise JobMoved(f"job {job_id} was cancelled by {cancelled}")
    if amount is None:
        return
    status = job_status.status_of(conn, job_id)
    if status not in _ASKED:
        raise JobMoved(f"job {job_id} is {status}; its money waits for nobody's word")
    asked = amount_asked(conn, catalog, job_id, version)
    if amount != asked:
        raise JobMoved(f"job {job_id} asks for {dollars(asked)} now; the answer was about {dollars(amount)}")


def approve_for_campaign(
    conn: Connection, catalog: Catalog, job_id: str, version: int, *, by: str, expires_at: datetime, now: datetime
) -> Answer:
    """Approve a new version of a job with its campaign, by whoever approved that."""
    return _write(conn, catalog, job_id, version, "approved", sequence=1, by=by, now=now, expires_at=expires_at)


def _stands(conn: Connection, answer: Answer, run_id: str, now: datetime) -> bool:
    settled = jobs.settled_at(conn, run_id, answer.envelope.job_id)
    if settled is not None and settled > answer.answered_at:
        return False
    asked = approvals.asked_at(conn, answer.envelope.job_id, about="money")
    if asked is not None and asked > answer.answered_at:
        # It did not stand when a run asked anew.
        return False
    return answer.answer != "approved" or answer.envelope.expires_at > now


def _used(conn: Connection, envelopes: Sequence[Envelope]) -> Micros:
    """What was charged, or is held, under some envelopes."""
    found = [caps.balance(conn, "envelope", f"{e.job_id}/{e.version}/{e.sequence}") for e in envelopes]
    return sum(balance.settled + balance.reserved for balance in found if balance is not None)


def amount_asked(conn: Connection, catalog: Catalog, job_id: str, version: int) -> Micros:
    """The envelope: min(what the job's budget has left, worst case)."""
    left = budget_left(conn, catalog, job_id)
    return envelope_amount(left, jobs.priced(conn, job_id, version).estimate.worst_case)


def budget_left(conn: Connection, catalog: Catalog, job_id: str) -> Micros:
    """What the job's own budget has left, over all its versions."""
    spec = jobs.spec(conn, job_id)
    spent = caps.balance(conn, "job", job_id)
    return job_budget(spec, catalog.presets[spec.preset]) if spent is None else max(0, spent.free)


def _write(
    conn: Connection,
    catalog: Catalog,
    job_id: str,
    version: int,
    word: Literal["approved", "rejected", "expired"],
    *,
    sequence: int,
    by: str,
    now: datetime,
    expires_at: datetime | None = None,
) -> Answer:
    preset = catalog.presets[jobs.spec(conn, job_id).preset]
    return approvals.answer(
        conn,
        job_id,
        version,
        word,
        sequence=sequence,
        amount=amount_asked(conn, catalog, job_id, version),
        backends=jobs.priced(conn, job_id, version).backends,
        attempts_per_shot=preset.attempts_per_shot,
        expires_at=expires_at or now + timedelta(hours=preset.approval_hours),
        by=by,
        now=now,
    )


def _asked(answer: Answer) -> Asked:
    envelope = answer.envelope
    return Asked(
        job_id=envelope.job_id,
        version=envelope.version,
        sequence=envelope.sequence,
        amount=envelope.amount,
        answer=answer.answer,
        by=envelope.approved_by,
    )
