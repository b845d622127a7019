"""Jobs, their manifest versions and the runs that carry them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, case, func, insert, select, update

from aiprod.errors import JobConflict, JobFailed, JobUnknown
from aiprod.ledger import points
from aiprod.ledger.insertion import insert_once
from aiprod.ledger.schema import decisions, erasures, failures, jobs, manifests, runs
from aiprod.models import Decision, Erasure, Estimate, JobSpec, Manifest, Noun

__all__ = [
    "URGENCY",
    "Entry",
    "Priced",
    "Run",
    "attach_run",
    "campaign_of",
    "cancelled_by",
    "carried_elsewhere",
    "choices",
    "decide",
    "decisions_of",
    "enter",
    "entry",
    "erased",
    "fail",
    "failures_of",
    "in_priority_order",
    "known",
    "latest",
    "move_runs",
    "of_run",
    "priced",
    "remark",
    "runs_of",
    "settle_run",
    "settled_at",
    "spec",
    "started_at",
    "versions",
    "write_manifest",
]


#: Sorts what goes first to the front.
URGENCY = case({"high": 0, "normal": 1, "low": 2}, value=jobs.c.priority, else_=1)


class Priced(Noun):
    """A manifest version with its estimate and the backends it was priced for."""

    manifest: Manifest
    estimate: Estimate
    backends: tuple[str, ...]
    created_at: datetime
    created_by: str


class Entry(Noun):
    """A job as it was entered, and whether it was cancelled."""

    spec: JobSpec
    campaign: str | None
    created_at: datetime
    created_by: str | None
    cancelled_at: datetime | None
    cancelled_by: str | None


class Run(Noun):
    """One run that carries a job version, or did: then `settled_at` says until when."""

    run_id: str
    version: int
    started_at: datetime
    settled_at: datetime | None


def enter(
    conn: Connection, job_id: str, spec: JobSpec, *, now: datetime, campaign: str | None = None, by: str | None = None
) -> bool:
    """Write a job down; return whether it is new. Raises `JobConflict` when the id names another order."""
    row = {
        "job_id": job_id,
        "spec": spec.model_dump_json(),
        "spec_sha": spec.fingerprint,
        "project": spec.project,
        "priority": spec.priority,
        "campaign": campaign,
        "created_at": now,
        "created_by": by,
    }
    if insert_once(conn, jobs, row):
        return True
    stored = conn.execute(select(jobs.c.spec_sha).where(jobs.c.job_id == job_id)).scalar_one()
    if stored != spec.fingerprint:
        raise JobConflict([f"job_id: {job_id} already names another order; choose another id, or send the same order again"])
    return False


def spec(conn: Connection, job_id: str) -> JobSpec:
    """Return the order. Raises `JobUnknown`."""
    found = conn.execute(select(jobs.c.spec).where(jobs.c.job_id == job_id)).scalar()
    if found is None:
        raise JobUnknown(f"job {job_id} is not in the ledger")
    return JobSpec.model_validate_json(found)


def entry(conn: Connection, job_id: str) -> Entry:
    """Return a job as it was entered. Raises `JobUnknown`."""
    row = conn.execute(select(jobs).where(jobs.c.job_id == job_id)).mappings().first()
    if row is None:
        raise JobUnknown(f"job {job_id} is not in the ledger")
    kept = {name: row[name] for name in Entry.model_fields if name != "spec"}
    return Entry(spec=JobSpec.model_validate_json(row["spec"]), **kept)


def cancelled_by(conn: Connection, job_id: str) -> str | None:
    """Who cancelled a job, or None."""
    return conn.execute(select(jobs.c.cancelled_by).where(jobs.c.job_id == job_id)).scalar()


#: Built once: routing asks for every choice, and building it costs more than running it.
_CAMPAIGN = select(jobs.c.campaign).where(jobs.c.job_id == bindparam("of"))


def campaign_of(conn: Connection, job_id: str) -> str | None:
    """Return the campaign a job was entered with, or None."""
    return conn.execute(_CAMPAIGN, {"of": job_id}).scalar()


def in_priority_order(conn: Connection, job_ids: Sequence[str]) -> list[str]:
    """Return jobs as they are served: by priority, among equals the one entered first."""
    rows = conn.execute(
        select(jobs.c.job_id).where(jobs.c.job_id.in_(job_ids)).order_by(URGENCY, jobs.c.created_at, jobs.c.job_id)
    )
    return list(rows.scalars())


def known(conn: Connection, job_id: str) -> bool:
    """Whether a job of this id was entered."""
    return conn.execute(select(jobs.c.job_id).where(jobs.c.job_id == job_id)).first() is not None


def write_manifest(
    conn: Connection, manifest: Manifest, estimate: Estimate, backends: Sequence[str], *, by: str, now: datetime
) -> bool:
    """Write a manifest version with its price; return whether it is new. Writing one again changes nothing."""
    return insert_once(
        conn,
        manifests,
        {
            "job_id": manifest.job_id,
            "version": manifest.version,
            "manifest": manifest.model_dump_json(),
            "estimate": estimate.model_dump_json(),
            "backends": json.dumps(list(backends)),
            "created_at": now,
            "created_by": by,
        },
    )


def versions(conn: Connection, job_id: str) -> list[int]:
    """Return a job's manifest versions, oldest first."""
    return list(
        conn.execute(select(manifests.c.version).where(manifests.c.job_id == job_id).order_by(manifests.c.version)).scalars()
    )


def latest(conn: Connection, job_id: str) -> int:
    """Return the newest manifest version. Raises `JobUnknown` when there is none."""
    version = conn.execute(select(func.max(manifests.c.version)).where(manifests.c.job_id == job_id)).scalar()
    if version is None:
        raise JobUnknown(f"job {job_id} has no manifest")
    return int(version)


def priced(conn: Connection, job_id: str, version: int) -> Priced:
    """Return one manifest version with its price."""
    row = conn.execute(select(manifests).where(manifests.c.job_id == job_id, manifests.c.version == version)).mappings().first()
    if row is None:
        raise JobFailed(f"job {job_id} has no manifest version {version}")
    return Priced(
        manifest=Manifest.model_validate_json(row["manifest"]),
        estimate=Estimate.model_validate_json(row["estimate"]),
        backends=tuple(json.loads(row["backends"])),
        created_at=row["created_at"],
        created_by=row["created_by"],
    )


def attach_run(conn: Connection, run_id: str, job_id: str, version: int, *, now: datetime) -> None:
    """Note that a DAG run carries this job version. A run that starts again is not settled any more."""
    row = {"run_id": run_id, "job_id": job_id, "version": version, "started_at": now}
    if not insert_once(conn, runs, row):
        conn.execute(
            update(runs).where(runs.c.run_id == run_id, runs.c.job_id == job_id).values(version=version, settled_at=None)
        )


def of_run(conn: Connection, run_id: str) -> dict[str, int]:
    """Return the jobs a run carries, with their versions."""
    rows = conn.execute(select(runs.c.job_id, runs.c.version).where(runs.c.run_id == run_id).order_by(runs.c.job_id))
    return {row.job_id: row.version for row in rows}


def runs_of(conn: Connection, job_id: str) -> list[Run]:
    """Return every run that carries a job or did, oldest first."""
    rows = conn.execute(select(runs).where(runs.c.job_id == job_id).order_by(runs.c.started_at, runs.c.run_id)).mappings()
    return [Run(**{name: row[name] for name in Run.model_fields}) for row in rows]


def settle_run(conn: Connection, run_id: str, *, now: datetime, job_id: str | None = None) -> None:
    """Note that a run is over: for one of its jobs, or for all."""
    settled = update(runs).where(runs.c.run_id == run_id).values(settled_at=now)
    conn.execute(settled if job_id is None else settled.where(runs.c.job_id == job_id))


def carried_elsewhere(conn: Connection, run_id: str, job_id: str) -> bool:
    """Whether a run that is not over, begun after this one, carries the job too."""
    mine = select(runs.c.started_at).where(runs.c.run_id == run_id, runs.c.job_id == job_id).scalar_subquery()
    other = select(runs.c.run_id).where(runs.c.run_id != run_id, runs.c.job_id == job_id, runs.c.settled_at.is_(None))
    return conn.execute(other.where(runs.c.started_at >= mine)).first() is not None


def settled_at(conn: Connection, run_id: str, job_id: str) -> datetime | None:
    """When this run of the job was over last, or None while it is not."""
    return conn.execute(select(runs.c.settled_at).where(runs.c.run_id == run_id, runs.c.job_id == job_id)).scalar()


def started_at(conn: Connection, job_id: str, version: int) -> datetime | None:
    """When the first run of a job version began."""
    return conn.execute(
        select(runs.c.started_at).where(runs.c.job_id == job_id, runs.c.version == version).order_by(runs.c.started_at)
    ).scalar()


def decide(
    conn: Connection, job_id: str, version: int, round: int, decision: Decision, purchase_id: str | None, *, now: datetime
) -> None:
    """Record one routing choice, with the purchase it led to: once per purchase, whoever decides the same."""
    row = {"job_id": job_id, "version": version, "shot": decision.shot, "round": round, "purchase_id": purchase_id}
    insert_once(conn, decisions, {**row, "decision": decision.model_dump_json(), "at": now})


def decisions_of(conn: Connection, job_id: str, version: int) -> list[tuple[int, str | None, Decision]]:
    """Return (round, purchase, decision) of a job version, oldest first."""
    statement = select(decisions).where(decisions.c.job_id == job_id, decisions.c.version == version)
    rows = conn.execute(statement.order_by(decisions.c.decision_id))
    return [(row.round, row.purchase_id, Decision.model_validate_json(row.decision)) for row in rows]


def choices(conn: Connection, purchase_ids: Sequence[str]) -> dict[str, Decision]:
    """Return the routing choices that led to some purchases, whichever version made them."""
    rows = conn.execute(select(decisions).where(decisions.c.purchase_id.in_(purchase_ids)))
    return {row.purchase_id: Decision.model_validate_json(row.decision) for row in rows}


def erased(conn: Connection, job_id: str) -> Erasure | None:
    """Return when a job's files and words were deleted, or None."""
    row = conn.execute(select(erasures).where(erasures.c.job_id == job_id)).mappings().first()
    return None if row is None else Erasure(**{name: row[name] for name in Erasure.model_fields})


def move_runs(conn: Connection, job_id: str, old: int, new: int) -> None:
    """Let the runs of a job version carry the next one: a manifest was edited while they wait."""
    conn.execute(update(runs).where(runs.c.job_id == job_id, runs.c.version == old).values(version=new))


def fail(conn: Connection, job_id: str, version: int, stage: str, message: str, *, code: str, now: datetime) -> None:
    """Record why a job could not go on. A step done again that ends the same way says nothing new."""
    if failures_of(conn, job_id, version)[-1:] == [f"{stage}: {message}"]:
        return
    remark(conn, job_id, version, stage, message, now=now)
    points.emit(conn, "errors", 1, now=now, stage=stage, code=code)


def remark(conn: Connection, job_id: str, version: int, stage: str, message: str, *, now: datetime) -> None:
    """Record why a job does not go on where nothing failed: a person said no, or nobody said anything."""
    conn.execute(insert(failures).values(job_id=job_id, version=version, stage=stage, message=message, at=now))


def failures_of(conn: Connection, job_id: str, version: int) -> list[str]:
    """Return what went wrong with a job version, oldest first, as `stage: message`."""
    rows = conn.execute(
        select(failures).where(failures.c.job_id == job_id, failures.c.version == version).order_by(failures.c.failure_id)
    )
    return [f"{row.stage}: {row.message}" for row in rows]
