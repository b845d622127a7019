"""From an order to an approved envelope: refuse bad input, plan, price, ask."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from aiprod.budgets import approval_is_automatic, envelope_amount, job_budget
from aiprod.catalog import Catalog
from aiprod.choosing import configured, facts_before_money
from aiprod.errors import JobFailed, SpecError
from aiprod.judging import cost_per_take
from aiprod.ledger import Connection, Ledger, approvals, caps, jobs
from aiprod.ledger.approvals import Answer
from aiprod.ledger.engine import now as database_now
from aiprod.models import Decision, Estimate, JobSpec, Manifest, Micros, Noun, dollars
from aiprod.planning import eligible, floor_of, plan, preset_of
from aiprod.pricing import estimate
from aiprod.recommending import recommend
from aiprod.routing import route

__all__ = [
    "Asked",
    "Entered",
    "SpendQuestion",
    "answer_shown",
    "answer_spend",
    "approve_for_campaign",
    "ask_spend",
    "enter",
    "price",
    "spend_question",
]


#: More than any cap: what a shot would get if money were no object.
_NO_LIMIT: Micros = 10**15


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


class Asked(Noun):
    """What the question about money came to: an answer that stands, or what a person must be asked."""

    job_id: str
    version: int
    sequence: int
    amount: Micros
    answer: Literal["approved", "rejected", "expired"] | None
    by: str = ""


def enter(ledger: Ledger, catalog: Catalog, raw: Mapping[str, Any], *, job_id: str, run_id: str) -> Entered:
    """Take an order: write job, manifest version 1 and estimate, or raise `SpecError` and write nothing.

    `job_id` is used when the order names none. The same id with the same order is the same job; with another
    order it is a `JobConflict`.
    """
    spec = JobSpec.parse(raw)
    job_id = spec.job_id or job_id
    with ledger.read() as conn:
        seen = jobs.known(conn, job_id)
        now = database_now(conn)
    priced = None if seen else price(job_id, spec, catalog, now=now)
    with ledger.write() as conn:
        now = database_now(conn)
        new = jobs.enter(conn, job_id, spec, now=now)
        if priced is not None:
            manifest, priced_at, names = priced
            jobs.write_manifest(conn, manifest, priced_at, names, by="order", now=now)
        version = jobs.latest(conn, job_id)
        if jobs.of_run(conn, run_id).get(job_id) != version:
            # Attaching again would forget that the run was settled, and with it that its approval is used up.
            jobs.attach_run(conn, run_id, job_id, version, now=now)
    return Entered(job_id=job_id, version=version, new=new)


def price(job_id: str, spec: JobSpec, catalog: Catalog, *, now: datetime) -> tuple[Manifest, Estimate, tuple[str, ...]]:
    """Return manifest, estimate and eligible backends of an order, without touching the ledger.

    Raises `SpecError` when no configured backend can make a shot, or the budget cannot pay for the cheapest way.
    """
    preset = preset_of(spec, catalog)
    ready = configured(catalog)
    names = eligible(spec, catalog, ready)
    if not names:
        raise SpecError(["backend: no backend is configured; set a vendor's key or keep the embedded one in backends.yaml"])
    manifest = plan(job_id, spec, catalog, names)
    budget = job_budget(spec, preset)
    floor = floor_of(spec, catalog)
    chosen: dict[int, str] = {}
    problems: list[str] = []
    cheapest = 0

    def decide(shot: int, money: Micros) -> Decision:
        known = facts_before_money(catalog, manifest, shot, names, budget=money, now=now)
        return route(shot, known, floor=floor, prefer=spec.prefer, may_degrade=preset.may_degrade, at_cap=spec.at_cap)

    for shot in manifest.shots:
        wide = decide(shot.index, _NO_LIMIT)
        if wide.chosen is None:
            problems.append(_refusal(wide, shot.index, spec, names))
        cheapest += min((c.quote or 0 for c in wide.candidates if c.rank is not None), default=0)
        chosen[shot.index] = decide(shot.index, budget).chosen or ""
    if problems:
        raise SpecError(problems)
    if cheapest > budget:
        instead = recommend(spec, catalog, [name for name in catalog.vendors if name in ready], now.date())
        costs = f"the cheapest way to make it costs {dollars(cheapest)}"
        raise SpecError([f"budget_usd: {dollars(budget)} cannot pay for this video; {costs}; {instead}"])
    able = tuple(name for name in names if name in ready)
    looking = cost_per_take(catalog, manifest, able, now.date())
    priced = estimate(manifest, catalog, able, preset.attempts_per_shot, chosen, now.date(), judging=looking)
    return manifest, priced, able


def _refusal(decision: Decision, shot: int, spec: JobSpec, names: tuple[str, ...]) -> str:
    field = "backend" if len(names) == 1 else f"shots.{shot - 1}" if spec.shots else "order"
    reasons = "; ".join(f"{c.backend} {c.lost}" for c in decision.candidates)
    return f"{field}: no backend can make shot {shot}: {reasons}"


def ask_spend(ledger: Ledger, catalog: Catalog, job_id: str, run_id: str) -> Asked:
    """Return the answer that stands for a job's money, giving it where the preset allows; else what to ask.

    An answer given before this run was last settled does not count: clearing `approve` asks anew.
    """
    with ledger.write() as conn:
        now = database_now(conn)
        version = jobs.latest(conn, job_id)
        # Before looking: an answer that comes in between takes this number, and ours finds it taken.
        sequence = approvals.next_sequence(conn, job_id, version)
        standing = approvals.latest(conn, job_id, version)
        if standing is not None and _stands(conn, standing, run_id, now):
            return _asked(standing)
        spec = jobs.spec(conn, job_id)
        preset = catalog.presets[spec.preset]
        amount = _amount(conn, catalog, job_id, version)
        if approval_is_automatic(preset, amount):
            by = f"preset {spec.preset}"
            return _asked(_write(conn, catalog, job_id, version, "approved", sequence=sequence, by=by, now=now))
    return Asked(job_id=job_id, version=version, sequence=sequence, amount=amount, answer=None)


def spend_question(ledger: Ledger, catalog: Catalog, job_id: str, *, run_id: str, task_id: str) -> SpendQuestion:
    """Return what to ask about the newest manifest version, noting which version this question shows first."""
    with ledger.write() as conn:
        now = database_now(conn)
        version = jobs.latest(conn, job_id)
        priced = jobs.priced(conn, job_id, version)
        preset = jobs.spec(conn, job_id).preset
        return SpendQuestion(
            manifest=priced.manifest,
            estimate=priced.estimate,
            preset=preset,
            answer_within=timedelta(hours=catalog.presets[preset].approval_hours),
            amount=_amount(conn, catalog, job_id, version),
            budget_left=_budget_left(conn, catalog, job_id),
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
) -> Asked:
    """Write a person's answer about one manifest version, once. An answer that stands already is returned instead.

    Raises `JobFailed` when the job has moved on to another version: what was not shown is not approved.
    """
    with ledger.write() as conn:
        now = database_now(conn)
        if jobs.latest(conn, job_id) != version:
            raise JobFailed(f"job {job_id} is at version {jobs.latest(conn, job_id)}; the answer was about version {version}")
        # Before looking, as in `ask_spend`.
        sequence = approvals.next_sequence(conn, job_id, version)
        standing = approvals.latest(conn, job_id, version)
        if standing is not None and _stands(conn, standing, run_id, now):
            return _asked(standing)
        return _asked(_write(conn, catalog, job_id, version, word, sequence=sequence, by=by, now=now))


def approve_for_campaign(
    conn: Connection, catalog: Catalog, job_id: str, *, by: str, expires_at: datetime, now: datetime
) -> Answer:
    """Approve the first version of a job with its campaign, by whoever approved that."""
    return _write(conn, catalog, job_id, 1, "approved", sequence=1, by=by, now=now, expires_at=expires_at)


def _stands(conn: Connection, answer: Answer, run_id: str, now: datetime) -> bool:
    settled = jobs.settled_at(conn, run_id, answer.envelope.job_id)
    if settled is not None and settled > answer.answered_at:
        return False
    return answer.answer != "approved" or answer.envelope.expires_at > now


def _amount(conn: Connection, catalog: Catalog, job_id: str, version: int) -> Micros:
    """The envelope: min(what the job's budget has left, worst case)."""
    left = _budget_left(conn, catalog, job_id)
    return envelope_amount(left, jobs.priced(conn, job_id, version).estimate.worst_case)


def _budget_left(conn: Connection, catalog: Catalog, job_id: str) -> Micros:
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
        amount=_amount(conn, catalog, job_id, version),
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
