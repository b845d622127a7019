"""Campaigns and batches: many jobs approved once, which of them go through the next run, and how a run ended for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from aiprod.backends import why_not_configured
from aiprod.catalog import Catalog, Preset
from aiprod.errors import SpecError
from aiprod.estimating import price
from aiprod.ledger import Connection, Ledger, approvals, campaigns, gates, jobs, points, purchases, queue, results
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.queue import Waiting
from aiprod.models import MAX_PROBLEMS, JobSpec, Micros, Noun
from aiprod.ordering import approve_for_campaign

__all__ = ["Batch", "carry", "ended", "enlist", "next_batch", "told", "turns"]

_T = TypeVar("_T")

#: How many jobs one run carries: one process start serves them all.
BATCH = 50
#: How far down the queue is looked for jobs that can go on.
_LOOKED_AT = 4 * BATCH
#: A run that was asked for and has not begun by then is asked for again.
_PATIENCE = timedelta(minutes=15)


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
    valid: timedelta = timedelta(days=7),
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
            if _asks_a_person(catalog.presets[spec.preset]):
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
            if jobs.enter(conn, job_id, spec, now=now, campaign=campaign, by=by):
                manifest, priced, names = price(job_id, spec, catalog, now=now)
                jobs.write_manifest(conn, manifest, priced, names, by=by, now=now)
                approve_for_campaign(conn, catalog, job_id, by=by, expires_at=now + valid, now=now)
                message = f"waits for a run of campaign {campaign}"
                queue.put(conn, Waiting(job_id=job_id, version=1, reason="campaign", message=message, due_at=now, since=now))
    return [job_id for job_id, _ in read]


def carry(ledger: Ledger, catalog: Catalog, job_ids: Sequence[str], *, run_id: str) -> list[str]:
    """Let a run carry jobs that are in the ledger; return them in the order in which they are served.

    Several go together only when nobody has to be asked about any of them: the others are left to runs of their own.
    Raises `SpecError` for a job nobody entered, and when none is left.
    """
    with ledger.write() as conn:
        now = database_now(conn)
        unknown = [job_id for job_id in job_ids if not jobs.known(conn, job_id)]
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
        due = queue.due(conn, now=now, limit=_LOOKED_AT)
        if not due or gates.stopped(conn) is not None:
            return None
        first = due[0].job_id
        alone = not _needs_nobody(conn, catalog, first, now)
        chosen = [first] if alone else _that_find_room(conn, catalog, due, now)
        if not chosen:
            return None
        queue.postpone(conn, chosen, now + _PATIENCE)
    name = chosen[0] if len(chosen) == 1 else "batch"
    return Batch(run_id=f"{name}__{now:%Y%m%dT%H%M%S%f}", job_ids=tuple(chosen))


def _that_find_room(conn: Connection, catalog: Catalog, due: Sequence[Waiting], now: datetime) -> list[str]:
    """Up to a batch of jobs that need nobody, each with a backend that has room; a run that found none would only be red."""
    entries = catalog.backends.items()
    open_for_orders = {name: entry.slots for name, entry in entries if not why_not_configured(catalog, name)}
    room = {name: purchases.room(conn, name, slots=slots, now=now) for name, slots in open_for_orders.items()}
    chosen: list[str] = []
    for waiting in due:
        if not _needs_nobody(conn, catalog, waiting.job_id, now):
            continue
        priced = jobs.priced(conn, waiting.job_id, waiting.version)
        free = next((name for name in priced.backends if room.get(name, 0) > 0), None)
        if free is not None and len(chosen) < BATCH:
            room[free] -= len(priced.manifest.shots)
            chosen.append(waiting.job_id)
    return chosen


def _needs_nobody(conn: Connection, catalog: Catalog, job_id: str, now: datetime) -> bool:
    """Whether a job is approved, and its video goes out without a second look."""
    version = jobs.latest(conn, job_id)
    envelope = approvals.envelope(conn, job_id, version)
    if results.delivery(conn, job_id, version) is not None:
        return True
    return (
        envelope is not None and envelope.expires_at > now and not _asks_a_person(catalog.presets[jobs.spec(conn, job_id).preset])
    )


def _asks_a_person(preset: Preset) -> bool:
    return preset.second_review or preset.unscored == "ask"


def ended(ledger: Ledger, run_id: str, job_id: str, version: int) -> str:
    """Note that a run is over for a job; return how the job stands, in words. Counted once per run."""
    with ledger.write() as conn:
        before = jobs.settled_at(conn, run_id, job_id)
        jobs.settle_run(conn, run_id, now=database_now(conn), job_id=job_id)
        if results.delivery(conn, job_id, version) is not None:
            queue.take(conn, job_id)
            return "delivered"
        waits = queue.waiting(conn, [job_id]).get(job_id)
        if waits is not None:
            return told(waits)
        answer = approvals.latest(conn, job_id, version)
        status: str = answer.answer if answer is not None and answer.answer != "approved" else "failed"
        if jobs.cancelled_by(conn, job_id) is not None:
            status = "cancelled"
        if before is None:
            points.emit(conn, "jobs", 1, now=database_now(conn), status=status)
        return status


def told(waits: Waiting) -> str:
    """Return what a job waits for, and until when, in one line."""
    return f"waits for {waits.reason} and is picked up by itself from {waits.due_at:%Y-%m-%d %H:%M} UTC: {waits.message}"


def turns(versions: Mapping[str, int], do: Callable[[str, int], _T], at_once: int) -> Iterator[tuple[str, Callable[[], _T]]]:
    """What each job's turn comes to, in their order: taken when asked for, or `at_once` side by side."""
    if at_once < 2 or len(versions) < 2:
        yield from ((job_id, partial(do, job_id, version)) for job_id, version in versions.items())
        return
    with ThreadPoolExecutor(min(at_once, len(versions))) as pool:
        begun = {job_id: pool.submit(do, job_id, version) for job_id, version in versions.items()}
        yield from ((job_id, future.result) for job_id, future in begun.items())
