"""Campaigns and batches: many jobs approved once, which of them go through the next run, and how a run ended for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from aiprod.backends import why_not_configured
from aiprod.catalog import Catalog, Preset
from aiprod.errors import SpecError
from aiprod.estimating import price
from aiprod.ledger import (
    Connection,
    Ledger,
    approvals,
    campaigns,
    durations,
    gates,
    jobs,
    outbox,
    owners,
    points,
    purchases,
    queue,
    results,
)
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.queue import Waiting
from aiprod.models import MAX_PROBLEMS, JobSpec, Micros, Noun
from aiprod.ordering import approve_for_campaign

__all__ = [
    "BATCH", "VALID", "Batch", "asks_a_person", "carry", "ended", "enlist", "enter_approved", "next_batch", "ready",
]  # fmt: skip


#: How many jobs one run carries: one process start serves them all.
BATCH = 50
#: How far down the queue is looked for jobs that can go on.
_LOOKED_AT = 4 * BATCH
#: A run that was asked for and has not begun by then is asked for again.
_PATIENCE = timedelta(minutes=15)
#: How long a campaign's approval is good for: a month of days whose money is used up.
VALID = timedelta(days=30)


class Batch(Noun):
    """Jobs that go through one run together."""

    run_id: str
    job_ids: tuple[str, ...]


def enlist(
    ledger: Ledger,
    catalog: Catalog,
    orders: Sequence[Mapping[str, Any]],
    *,
    campaign: str,
    amount: Micros,
    by: str,
    valid: timedelta = VALID,
) -> list[str]:
    """Enter the jobs of a campaign, approved together up to `amount`, and let them wait for a run; return their ids.

    Nothing is written unless every row is right: raises `SpecError` with one line per problem, the row in front. The
    same rows again change nothing, and a campaign keeps the amount it was first approved with.
    """
    with ledger.read() as conn:
        now = database_now(conn)
    read: list[tuple[str, JobSpec]] = []
    problems: list[str] = []
    for n, raw in enumerate(orders, start=1):
        try:
            spec = JobSpec.parse(raw)
            job_id = spec.job_id or f"{campaign}-{n}"
            price(job_id, spec, catalog, now=now)
            if catalog.presets[spec.preset].approver_differs:
                raise SpecError([f"preset: {spec.preset} wants another person's word than {by}'s; order it by itself"])
            if asks_a_person(catalog.presets[spec.preset]):
                raise SpecError([f"preset: {spec.preset} asks a person about every video; order it by itself"])
            read.append((job_id, spec))
        except SpecError as error:
            problems += [f"row {n}: {problem}" for problem in error.problems]
    if problems:
        more = [f"… and {len(problems) - MAX_PROBLEMS} more problems"] if len(problems) > MAX_PROBLEMS else []
        raise SpecError([*problems[:MAX_PROBLEMS], *more])
    with ledger.write() as conn:
        start = database_now(conn)
        campaigns.approve(conn, campaign, amount, by=by)
        for n, (job_id, spec) in enumerate(read):
            # A microsecond apart, so that equally urgent rows are served in the order in which they came.
            now = start + timedelta(microseconds=n)
            enter_approved(conn, catalog, job_id, spec, campaign=campaign, by=by, valid=valid, now=now)
    return [job_id for job_id, _ in read]


def enter_approved(
    conn: Connection,
    catalog: Catalog,
    job_id: str,
    spec: JobSpec,
    *,
    campaign: str,
    by: str,
    ordered_by: str | None = None,
    valid: timedelta = VALID,
    now: datetime,
) -> bool:
    """Enter one job of a campaign that `by` approved, and let it wait for a run; return whether it is new.

    `ordered_by` is who asked for the campaign, where that was somebody else.

    Raises `SpecError` when it cannot be made any more, and `JobConflict` when the id names another order.
    """
    if jobs.known(conn, job_id):
        return jobs.enter(conn, job_id, spec, now=now, campaign=campaign)
    ordered_by = ordered_by or by
    # Before anything is written: a row that is refused leaves nothing behind, and its neighbours stand.
    manifest, priced, names = price(job_id, spec, catalog, now=now)
    jobs.enter(conn, job_id, spec, now=now, campaign=campaign, by=ordered_by)
    jobs.write_manifest(conn, manifest, priced, names, by=ordered_by, now=now)
    approve_for_campaign(conn, catalog, job_id, 1, by=by, expires_at=now + valid, now=now)
    message = f"waits for a run of campaign {campaign}"
    queue.put(conn, Waiting(job_id=job_id, version=1, reason="campaign", message=message, due_at=now, since=now))
    return True


def carry(ledger: Ledger, catalog: Catalog, job_ids: Sequence[str], *, run_id: str, by: str | None = None) -> list[str]:
    """Let a run carry jobs that are in the ledger; return them in the order in which they are served.

    Several go together only when nobody has to be asked about any of them: the others are left to runs of their own.
    Raises `SpecError` for a job nobody entered, or whose project is hidden from `by`, and when none is left.
    """
    hidden = () if by is None else catalog.access.hidden_from(by)
    with ledger.write() as conn:
        now = database_now(conn)
        unknown = [job_id for job_id in job_ids if owners.project_of(conn, job_id) in (None, *hidden)]
        if unknown:
            raise SpecError([f"batch: job {job_id} is not in the ledger" for job_id in unknown])
        served = jobs.in_priority_order(conn, job_ids)
        if len(served) > 1:
            served = [job_id for job_id in served if _needs_nobody(conn, catalog, job_id, now)]
        if not served:
            raise SpecError(["batch: a person has to be asked about every one of these jobs; start them one by one"])
        for job_id in served:
            jobs.attach_run(conn, run_id, job_id, jobs.latest(conn, job_id), now=now)
    return served


def next_batch(ledger: Ledger, catalog: Catalog) -> Batch | None:
    """Choose the jobs of the next run among those that wait, most urgent first; None when none can go on now.

    Never more than the backends of their approvals have room for. A job about which a person has to be asked goes alone.
    """
    with ledger.write() as conn:
        now = database_now(conn)
        chosen = _choose(conn, catalog, now)
        if not chosen:
            return None
        queue.postpone(conn, chosen, now + _PATIENCE)
    name = chosen[0] if len(chosen) == 1 else "batch"
    return Batch(run_id=f"{name}__{now:%Y%m%dT%H%M%S%f}", job_ids=tuple(chosen))


def ready(ledger: Ledger, catalog: Catalog) -> bool:
    """Whether a run is worth starting now: for something urgent, for half a batch, or because no run is under way.

    A run costs the same for one job as for fifty; jobs that could go on now wait for company while others are made.
    Writes nothing.
    """
    with ledger.read() as conn:
        now = database_now(conn)
        chosen = _choose(conn, catalog, now)
        if not chosen:
            return False
        slots = sum(entry.slots for name, entry in catalog.backends.items() if not why_not_configured(catalog, name))
        idle = not queue.carried(conn, now=now) and not queue.asked_for(conn, now=now)
        urgent = jobs.spec(conn, chosen[0]).priority == "high"
        return idle or urgent or len(chosen) >= min(BATCH, 2 * slots) // 2


def _choose(conn: Connection, catalog: Catalog, now: datetime) -> list[str]:
    """The jobs of the next run, most urgent first; none when none can go on."""
    due = queue.due(conn, now=now, limit=_LOOKED_AT)
    if not due or gates.stopped(conn) is not None:
        return []
    first = due[0].job_id
    alone = not _needs_nobody(conn, catalog, first, now)
    return [first] if alone else _that_find_room(conn, catalog, due, now)


def _that_find_room(conn: Connection, catalog: Catalog, due: Sequence[Waiting], now: datetime) -> list[str]:
    """Up to a batch of jobs that need nobody, each with a backend that has room; a run that found none would only be red."""
    room = _room(conn, catalog, now)
    left = campaigns.room(conn, since=now - queue.ABANDONED)
    chosen: list[str] = []
    for waiting in due:
        campaign = jobs.campaign_of(conn, waiting.job_id) or ""
        if left.get(campaign, 1) <= 0 or not _needs_nobody(conn, catalog, waiting.job_id, now):
            continue
        priced = jobs.priced(conn, waiting.job_id, waiting.version)
        free = next((name for name in priced.backends if room.get(name, 0) > 0), None)
        if free is not None and len(chosen) < BATCH:
            room[free] -= len(priced.manifest.shots)
            chosen.append(waiting.job_id)
            if campaign in left:
                left[campaign] -= 1
    return chosen


def _room(conn: Connection, catalog: Catalog, now: datetime) -> dict[str, int]:
    """How many shots every backend still takes, less those of jobs for which a run was asked for and holds nothing yet."""
    entries = catalog.backends.items()
    open_for_orders = {name: entry.slots for name, entry in entries if not why_not_configured(catalog, name)}
    room = {name: purchases.room(conn, name, slots=slots, now=now) for name, slots in open_for_orders.items()}
    for waiting in queue.asked_for(conn, now=now):
        priced = jobs.priced(conn, waiting.job_id, waiting.version)
        taken = next((name for name in priced.backends if room.get(name, 0) > 0), None)
        if taken is not None:
            room[taken] -= len(priced.manifest.shots)
    return room


def _needs_nobody(conn: Connection, catalog: Catalog, job_id: str, now: datetime) -> bool:
    """Whether a job is approved, and its video goes out without a second look."""
    version = jobs.latest(conn, job_id)
    envelope = approvals.envelope(conn, job_id, version)
    if results.delivery(conn, job_id, version) is not None:
        return True
    return (
        envelope is not None and envelope.expires_at > now and not asks_a_person(catalog.presets[jobs.spec(conn, job_id).preset])
    )


def asks_a_person(preset: Preset) -> bool:
    return preset.second_review or preset.unscored == "ask"


def ended(ledger: Ledger, run_id: str, job_id: str, version: int) -> str:
    """Note that a run is over for a job; return how the job stands, in words. Counted once per run."""
    with ledger.write() as conn:
        before = jobs.settled_at(conn, run_id, job_id)
        jobs.settle_run(conn, run_id, now=database_now(conn), job_id=job_id)
        waits = queue.waiting(conn, [job_id]).get(job_id)
        if results.delivery(conn, job_id, version) is not None:
            # A later version that waits by now is none of this run's.
            if waits is not None and waits.version == version:
                queue.take(conn, job_id, now=database_now(conn))
            return "delivered"
        if waits is not None:
            return str(waits)
        answer = approvals.latest(conn, job_id, version)
        status: str = answer.answer if answer is not None and answer.answer != "approved" else "failed"
        if jobs.cancelled_by(conn, job_id) is not None:
            status = "cancelled"
        if before is None:
            now = database_now(conn)
            points.emit(conn, "jobs", 1, now=now, status=status)
            if status == "failed" and not _said_no(conn, job_id, version):
                _tell_failure(conn, job_id, version, run_id=run_id, now=now)
            took = durations.pipeline_seconds(conn, job_id, version, now=now) if status == "failed" else None
            if took is not None:
                points.emit(conn, "pipeline_duration", took, now=now, status=status)
        return status


def _said_no(conn: Connection, job_id: str, version: int) -> bool:
    """Whether a person ended the job, and everybody was told so: by cancelling it, or with a word on its video."""
    made = results.cut(conn, job_id, version)
    said = None if made is None else approvals.reviewed(conn, job_id, version, made.video.sha256)
    return (said is not None and said.answer == "rejected") or jobs.cancelled_by(conn, job_id) is not None


def _tell_failure(conn: Connection, job_id: str, version: int, *, run_id: str, now: datetime) -> None:
    """Tell that a run ended without a video: the step and the kinds of failure, no words of a vendor or a customer."""
    last = jobs.failures_of(conn, job_id, version)[-1:]
    kinds = {p.failure.value for p in purchases.of_job(conn, job_id, version) if p.failure is not None}
    outbox.emit(
        conn,
        f"{job_id}.v{version}.failed.{run_id}.{now.isoformat()}",
        "job_failed",
        now=now,
        job_id=job_id,
        version=version,
        stage=last[0].partition(":")[0] if last else "",
        kinds=sorted(kinds),
    )
