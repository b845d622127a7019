"""Answers to "may this money be spent?" and "may this video go out?". An approved answer is the envelope."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, and_, func, select, update

from aiprod.ledger.insertion import insert_once
from aiprod.ledger.schema import approvals, reviews, runs, shown
from aiprod.models import Envelope, Micros, Noun

__all__ = ["Answer", "Reviewed", "answer", "asked_at", "envelope", "given_by", "latest", "review", "reviewed", "show"]

AnswerWord = Literal["approved", "rejected", "expired"]
ReviewWord = Literal["accepted", "rejected"]


class Reviewed(Noun):
    """A person's word on one finished cut."""

    answer: ReviewWord
    by: str
    at: datetime


class Answer(Noun):
    """One answer about one manifest version."""

    answer: AnswerWord
    envelope: Envelope
    answered_at: datetime


def answer(
    conn: Connection,
    job_id: str,
    version: int,
    word: AnswerWord,
    *,
    sequence: int,
    amount: Micros,
    backends: Sequence[str],
    attempts_per_shot: int,
    expires_at: datetime,
    by: str,
    now: datetime,
) -> Answer:
    """Write an answer once per (job, version, sequence); return the one that stands, be it somebody else's."""
    insert_once(
        conn,
        approvals,
        {
            "job_id": job_id,
            "version": version,
            "sequence": sequence,
            "answer": word,
            "amount": amount,
            "backends": json.dumps(list(backends)),
            "attempts_per_shot": attempts_per_shot,
            "expires_at": expires_at,
            "answered_by": by,
            "answered_at": now,
        },
    )
    standing = latest(conn, job_id, version, sequence=sequence)
    assert standing is not None  # noqa: S101 - just inserted, or there before
    return standing


def latest(conn: Connection, job_id: str, version: int, *, sequence: int | None = None) -> Answer | None:
    """Return the last answer about a manifest version, or the one with this sequence."""
    statement = select(approvals).where(approvals.c.job_id == job_id, approvals.c.version == version)
    if sequence is not None:
        statement = statement.where(approvals.c.sequence == sequence)
    row = conn.execute(statement.order_by(approvals.c.sequence.desc())).mappings().first()
    if row is None:
        return None
    return Answer(
        answer=row["answer"],
        answered_at=row["answered_at"],
        envelope=Envelope(
            job_id=job_id,
            version=version,
            sequence=row["sequence"],
            amount=row["amount"],
            backends=tuple(json.loads(row["backends"])),
            attempts_per_shot=row["attempts_per_shot"],
            expires_at=row["expires_at"],
            approved_by=row["answered_by"],
        ),
    )


def envelope(conn: Connection, job_id: str, version: int) -> Envelope | None:
    """Return the envelope in force for a manifest version: the last answer, if it approved."""
    last = latest(conn, job_id, version)
    return last.envelope if last is not None and last.answer == "approved" else None


def given_by(conn: Connection, job_id: str, by: str) -> list[Envelope]:
    """Return the envelopes that one answerer gave a job, in all its versions."""
    mine = select(approvals.c.version, approvals.c.sequence).where(
        approvals.c.job_id == job_id, approvals.c.answer == "approved", approvals.c.answered_by == by
    )
    found = [latest(conn, job_id, row.version, sequence=row.sequence) for row in conn.execute(mine).all()]
    return [given.envelope for given in found if given is not None]


def next_sequence(conn: Connection, job_id: str, version: int) -> int:
    """Return the number of the next answer about a manifest version."""
    statement = select(func.max(approvals.c.sequence)).where(approvals.c.job_id == job_id, approvals.c.version == version)
    return int(conn.execute(statement).scalar() or 0) + 1


def show(
    conn: Connection, run_id: str, task_id: str, job_id: str, version: int, *, now: datetime, content: str = ""
) -> tuple[int, str]:
    """Note which version, and which cut, a parked question shows; return the first ones, whatever is asked later.

    Airflow keeps the first body of a question, even after a retry or a clear. `shown_at` is when it was last asked.
    """
    row = {"run_id": run_id, "task_id": task_id, "job_id": job_id, "version": version, "content": content, "shown_at": now}
    if not insert_once(conn, shown, row):
        same = and_(shown.c.run_id == run_id, shown.c.task_id == task_id, shown.c.job_id == job_id)
        conn.execute(update(shown).where(same).values(shown_at=now))
    standing = first_shown(conn, run_id, task_id, job_id)
    assert standing is not None  # noqa: S101 - just inserted, or there before
    return standing


def first_shown(conn: Connection, run_id: str, task_id: str, job_id: str) -> tuple[int, str] | None:
    """Which version and which cut the parked question shows people."""
    row = conn.execute(
        select(shown.c.version, shown.c.content).where(
            shown.c.run_id == run_id, shown.c.task_id == task_id, shown.c.job_id == job_id
        )
    ).first()
    return None if row is None else (row.version, row.content)


def asked_at(conn: Connection, job_id: str, *, about: Literal["money", "cut"]) -> datetime | None:
    """When a run last asked a person about a job's money, or its finished video; None when none ever did."""
    carried = select(runs.c.run_id).where(runs.c.job_id == job_id)
    what = shown.c.content == "" if about == "money" else shown.c.content != ""
    asked = select(func.max(shown.c.shown_at)).where(shown.c.run_id.in_(carried), shown.c.job_id == job_id, what)
    return conn.execute(asked).scalar()


def review(conn: Connection, job_id: str, version: int, cut_sha: str, word: ReviewWord, *, by: str, now: datetime) -> Reviewed:
    """Write a person's word on one finished cut, once; return the word that stands."""
    key = {"job_id": job_id, "version": version, "cut_sha": cut_sha}
    insert_once(conn, reviews, {**key, "answer": word, "answered_by": by, "answered_at": now})
    standing = reviewed(conn, job_id, version, cut_sha)
    assert standing is not None  # noqa: S101 - just inserted, or there before
    return standing


def reviewed(conn: Connection, job_id: str, version: int, cut_sha: str) -> Reviewed | None:
    """Return the word on this very cut, or None. Another cut of the same job needs a word of its own."""
    row = conn.execute(
        select(reviews).where(reviews.c.job_id == job_id, reviews.c.version == version, reviews.c.cut_sha == cut_sha)
    ).first()
    return None if row is None else Reviewed(answer=row.answer, by=row.answered_by, at=row.answered_at)
