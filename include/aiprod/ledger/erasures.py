"""Jobs whose files and words are deleted: what stands in the way, which words go, and what the ledger says of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, case, exists, func, literal, or_, select, update

from aiprod.errors import JobFailed
from aiprod.ledger import queue as waiting
from aiprod.ledger.insertion import insert_once
from aiprod.ledger.schema import (
    OPEN,
    Utc,
    decisions,
    erasures,
    failures,
    jobs,
    manifests,
    outbox,
    purchases,
    qa_reports,
    queue,
    resolutions,
    runs,
    takes,
)
from aiprod.models import Erasure

__all__ = ["MARK", "due", "finish", "in_the_way", "of_job", "record", "unfinished"]

#: Stands where words were. It is a prompt like any other, so that what is left still parses.
MARK = "[erased]"
#: A run that never settled (its deployment was deleted) keeps its job from being erased no longer than this.
ABANDONED = timedelta(days=30)

#: Names under which the customer's words stand, or those of somebody who quotes them: a vendor, a judge.
_WORDS = frozenset(
    {"prompt", "camera", "audio_style", "lost", "evidence", "question", "text", "doubts", "unscored_why", "message", "title"}
)
_ADDRESSES = frozenset({"reference_image_url"})
#: Of an event these texts stay: names, states and times. Any other may have been written by somebody.
_PLAIN = frozenset(
    {"job_id", "purchase_id", "vendor_id", "backend", "kind", "key", "scope", "stage", "about", "cut_sha", "answer_by", "as_of"}
    | {"by", "stopped", "refunded", "kinds", "answer"}
)


def of_job(conn: Connection, job_id: str) -> Erasure | None:
    """Return the erasure of a job, or None."""
    row = conn.execute(select(erasures).where(erasures.c.job_id == job_id)).mappings().first()
    return None if row is None else Erasure(**row)


def in_the_way(conn: Connection, job_id: str, *, now: datetime) -> str | None:
    """Why a job can not be erased now, in one sentence; None when it can."""
    if conn.execute(select(jobs.c.job_id).where(jobs.c.job_id == job_id)).first() is None:
        return f"job {job_id} is not in the ledger"
    for blocked, why in _blocks(now):
        if conn.execute(select(jobs.c.job_id).where(jobs.c.job_id == job_id, blocked)).first() is not None:
            return f"job {job_id} can not be erased: {why}"
    return None


def _blocks(now: datetime) -> list[tuple[ColumnElement[bool], str]]:
    """What keeps a row of `jobs` from being erased, and why that does."""
    mine = purchases.c.job_id == jobs.c.job_id
    parked = exists().where(mine, purchases.c.state.in_(OPEN), purchases.c.parked_at.is_not(None))
    alive = exists().where(mine, purchases.c.state.in_(OPEN))
    given_up = select(resolutions.c.purchase_id).where(resolutions.c.answer == "file_gone")
    not_home = purchases.c.purchase_id.not_in(select(takes.c.take_id)) & purchases.c.purchase_id.not_in(given_up)
    paid = exists().where(mine, purchases.c.state == "succeeded", purchases.c.kind == "render", not_home)
    running = exists().where(runs.c.job_id == jobs.c.job_id, runs.c.settled_at.is_(None), runs.c.started_at > now - ABANDONED)
    queued = exists().where(queue.c.job_id == jobs.c.job_id)
    return [
        (parked, "a purchase of it waits for a person (`aiprod parked`)"),
        (alive, "money is held for it, or a render of it may still run"),
        (paid, "a clip of it is paid and has not come home yet"),
        (running, "a run of it is not over"),
        (and_(queued, jobs.c.cancelled_at.is_(None)), "it waits for a run; cancel it first"),
    ]


def record(conn: Connection, job_id: str, *, by: str, why: str, files: int, size: int, now: datetime) -> Erasure:
    """Overwrite every word of a job and write down who wanted that, once; return the erasure that stands.

    From then on nothing is held or sent for the job: there are no words left to send. Raises `JobFailed` when something is
    in the way, and changes nothing.
    """
    conn.execute(select(jobs.c.job_id).where(jobs.c.job_id == job_id).with_for_update())
    why_not = in_the_way(conn, job_id, now=now)
    if why_not is not None:
        raise JobFailed(why_not)
    row = {"job_id": job_id, "erased_at": now, "erased_by": by, "why": why, "files": files, "size": size}
    insert_once(conn, erasures, row)
    standing = of_job(conn, job_id)
    assert standing is not None  # noqa: S101 - just inserted, or there before
    if conn.dialect.name == "sqlite":
        # Else the old words stay readable in the file, in space that it does not use any more.
        conn.exec_driver_sql("PRAGMA secure_delete = ON")
    shut = update(jobs).where(jobs.c.job_id == job_id, jobs.c.cancelled_at.is_(None))
    conn.execute(shut.values(cancelled_at=now, cancelled_by=f"{by} (erased)"))
    waiting.take(conn, job_id, now=now)
    _overwrite(conn, job_id)
    return standing


def finish(conn: Connection, job_id: str, *, now: datetime) -> None:
    """Note that no file of an erased job is left."""
    conn.execute(update(erasures).where(erasures.c.job_id == job_id, erasures.c.finished_at.is_(None)).values(finished_at=now))


def unfinished(conn: Connection, *, limit: int) -> list[str]:
    """Return jobs whose files may not all be deleted, those erased first in front."""
    rows = select(erasures.c.job_id).where(erasures.c.finished_at.is_(None)).order_by(erasures.c.erased_at, erasures.c.job_id)
    return list(conn.execute(rows.limit(limit)).scalars())


def due(
    conn: Connection, *, before: datetime | None, projects: Mapping[str, datetime | None], now: datetime, limit: int
) -> list[str]:
    """Return jobs that ended before a time, their project's where it has one of its own, and that nothing keeps.

    None: such jobs are kept. A job ended when its last run was over; one that no run carried, when it was entered.
    """
    never = literal(datetime.fromtimestamp(0, now.tzinfo), Utc())
    own = {name: literal(when, Utc()) if when else never for name, when in projects.items()}
    general = literal(before, Utc()) if before else never
    limit_of = case(own, value=jobs.c.project, else_=general) if own else general
    later = exists().where(runs.c.job_id == jobs.c.job_id, func.coalesce(runs.c.settled_at, runs.c.started_at) >= limit_of)
    erased = exists().where(erasures.c.job_id == jobs.c.job_id)
    kept = or_(later, erased, *(blocked for blocked, _ in _blocks(now)))
    old = select(jobs.c.job_id).where(jobs.c.created_at < limit_of, ~kept).order_by(jobs.c.created_at, jobs.c.job_id)
    return list(conn.execute(old.limit(limit)).scalars())


def _overwrite(conn: Connection, job_id: str) -> None:
    """Put the mark in the place of every word of a job. Amounts, ids, times, states and hashes stay as they are."""
    _json(conn, jobs, "spec", jobs.c.job_id == job_id)
    _json(conn, manifests, "manifest", manifests.c.job_id == job_id)
    _json(conn, manifests, "estimate", manifests.c.job_id == job_id)
    _json(conn, decisions, "decision", decisions.c.job_id == job_id)
    _json(conn, purchases, "request", purchases.c.job_id == job_id)
    _json(conn, qa_reports, "report", qa_reports.c.take_id.in_(select(takes.c.take_id).where(takes.c.job_id == job_id)))
    said = purchases.c.message.is_not(None)
    conn.execute(update(purchases).where(purchases.c.job_id == job_id, said).values(message=MARK))
    conn.execute(update(failures).where(failures.c.job_id == job_id).values(message=MARK))
    bought = select(purchases.c.purchase_id).where(purchases.c.job_id == job_id)
    about = or_(outbox.c.event_key.startswith(f"{job_id}.", autoescape=True), func.substr(outbox.c.event_key, 1, 32).in_(bought))
    for row in conn.execute(select(outbox.c.id, outbox.c.payload).where(about)).all():
        left = {name: value if name in _PLAIN else _marked(value) for name, value in json.loads(row.payload).items()}
        conn.execute(update(outbox).where(outbox.c.id == row.id).values(payload=json.dumps(left, sort_keys=True)))


def _json(conn: Connection, table: Table, name: str, mine: ColumnElement[bool]) -> None:
    """Overwrite the words in one JSON column, row by row."""
    keys = list(table.primary_key)
    for row in conn.execute(select(*keys, table.c[name]).where(mine)).all():
        this = and_(*(key == row._mapping[key] for key in keys))
        text = json.dumps(_wordless(json.loads(row._mapping[table.c[name]])), sort_keys=name == "request")
        conn.execute(update(table).where(this).values({name: text}))


def _wordless(value: Any) -> Any:
    """A JSON value in which words are the mark, and addresses are gone."""
    if isinstance(value, list):
        return [_wordless(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: None if name in _ADDRESSES else _marked(inner) if name in _WORDS else _wordless(inner)
        for name, inner in value.items()
    }


def _marked(value: Any) -> Any:
    """The mark for a text, be it in a list; what is no text, or empty, as it is."""
    if isinstance(value, list):
        return [_marked(item) for item in value]
    if isinstance(value, dict):
        return {name: _marked(inner) for name, inner in value.items()}
    return MARK if isinstance(value, str) and value else value
