"""What came back: takes, QA reports, the cut and the delivery."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, and_, func, select, union_all, update

from aiprod.ledger import points
from aiprod.ledger.insertion import insert_once
from aiprod.ledger.schema import cuts, deliveries, qa_reports, reuses, runs, takes
from aiprod.models import Delivery, Micros, Noun, QAReport, StoredFile, Take, Verdict

__all__ = [
    "Cut",
    "Judged",
    "Reuse",
    "best_first",
    "cut",
    "deliver",
    "delivered_by",
    "delivery",
    "judge",
    "judged",
    "keep",
    "make_cut",
    "reusable",
    "reuse",
    "reuses_of",
    "saved",
    "unjudged",
]

_BEST = {Verdict.ACCEPTED: 0, Verdict.NEEDS_PERSON: 1, Verdict.REJECTED: 2}


class Judged(Noun):
    """A take with its QA report and verdict."""

    take: Take
    report: QAReport
    verdict: Verdict


class Reuse(Noun):
    """A take that stands for a shot of its job that nobody bought: an earlier version's, or an identical shot's.

    `saved` is what the shot would have cost, in micro-dollars.
    """

    shot: int
    take_id: str
    saved: Micros


class Cut(Noun):
    """The assembled video before delivery: which takes, in shot order, and its files."""

    takes: tuple[str, ...]
    video: StoredFile
    poster: StoredFile
    contact_sheet: StoredFile


def keep(conn: Connection, take: Take, *, now: datetime) -> None:
    """Note a stored take, once."""
    insert_once(conn, takes, {**take.model_dump(), "kept_at": now})


def take_of(conn: Connection, purchase_id: str) -> Take | None:
    """Return the take of a purchase, or None while its file is not stored."""
    row = conn.execute(select(takes).where(takes.c.take_id == purchase_id)).mappings().first()
    return None if row is None else Take(**{name: row[name] for name in Take.model_fields})


def unjudged(conn: Connection, job_id: str, version: int) -> list[Take]:
    """Return the takes nobody has judged yet."""
    statement = (
        select(takes)
        .outerjoin(qa_reports, qa_reports.c.take_id == takes.c.take_id)
        .where(takes.c.job_id == job_id, takes.c.version == version, qa_reports.c.take_id.is_(None))
        .order_by(takes.c.shot)
    )
    return [Take(**{n: r[n] for n in Take.model_fields}) for r in conn.execute(statement).mappings()]


def judge(conn: Connection, report: QAReport, verdict: Verdict, *, now: datetime) -> None:
    """Write a QA report and its verdict, once per take."""
    row = {
        "take_id": report.take_id,
        "report": report.model_dump_json(),
        "technical": report.technical,
        "quality": report.quality,
        "verdict": verdict.value,
        "judged_at": now,
    }
    if not insert_once(conn, qa_reports, row):
        return
    for dimension in ("technical", "semantic", "quality"):
        score = getattr(report, dimension)
        if score is not None:
            points.emit(conn, "quality_score", score, now=now, dimension=dimension)


def judged(conn: Connection, job_id: str, version: int) -> list[Judged]:
    """Return every judged take of a job version, by shot, oldest first; also those it uses again."""
    columns = (takes, qa_reports.c.report, qa_reports.c.verdict)
    seen = takes.join(qa_reports, qa_reports.c.take_id == takes.c.take_id)
    own = select(takes.c.shot.label("for_shot"), *columns).select_from(seen)
    again = select(reuses.c.shot.label("for_shot"), *columns).select_from(seen.join(reuses, reuses.c.take_id == takes.c.take_id))
    both = union_all(
        own.where(takes.c.job_id == job_id, takes.c.version == version),
        again.where(reuses.c.job_id == job_id, reuses.c.version == version),
    )
    return [
        Judged(
            take=Take(**{**{name: row[name] for name in Take.model_fields}, "shot": row["for_shot"]}),
            report=QAReport.model_validate_json(row["report"]),
            verdict=Verdict(row["verdict"]),
        )
        for row in conn.execute(both.order_by("for_shot", "kept_at")).mappings()
    ]


def best_first(judged: Judged) -> tuple[int, float, float]:
    """Sort key: accepted takes first, then those that wait for a person's word, the better ones in front."""
    return (_BEST[judged.verdict], -(judged.report.quality or 0.0), -judged.report.technical)


def reusable(conn: Connection, job_id: str, version: int) -> dict[int, Judged]:
    """Return the take of each shot that another version may use: the one in the cut, else the best.

    Never one that was rejected or vetoed. One that waits for a person's word is asked about again with the next cut.
    """
    made = cut(conn, job_id, version)
    inside = made.takes if made is not None else ()
    good = [j for j in judged(conn, job_id, version) if j.verdict is not Verdict.REJECTED and not j.report.vetoed]
    good.sort(key=lambda j: (j.take.take_id not in inside, best_first(j)))
    return {j.take.shot: j for j in reversed(good)}


def reuse(conn: Connection, job_id: str, version: int, again: Reuse) -> bool:
    """Let a shot of a job version use a take that is there, once; return whether that is new. Nothing is bought for it."""
    return insert_once(conn, reuses, {"job_id": job_id, "version": version, **again.model_dump()})


def reuses_of(conn: Connection, job_id: str, version: int) -> dict[int, Reuse]:
    """Return which shots of a job version use a take that was bought for another shot or version."""
    rows = conn.execute(select(reuses).where(reuses.c.job_id == job_id, reuses.c.version == version).order_by(reuses.c.shot))
    return {row.shot: Reuse(shot=row.shot, take_id=row.take_id, saved=row.saved) for row in rows}


def saved(conn: Connection, job_id: str) -> Micros:
    """Return what takes used again would have cost a job, over all its versions."""
    return int(conn.execute(select(func.coalesce(func.sum(reuses.c.saved), 0)).where(reuses.c.job_id == job_id)).scalar_one())


def make_cut(conn: Connection, job_id: str, version: int, made: Cut, *, now: datetime) -> None:
    """Note the assembled video; a later cut of other takes replaces it until it is delivered."""
    values = {"takes": json.dumps(made.takes), "files": made.model_dump_json(), "made_at": now}
    if not insert_once(conn, cuts, {"job_id": job_id, "version": version, **values}):
        conn.execute(update(cuts).where(cuts.c.job_id == job_id, cuts.c.version == version).values(**values))


def cut(conn: Connection, job_id: str, version: int) -> Cut | None:
    """Return the assembled video of a job version."""
    found = conn.execute(select(cuts.c.files).where(cuts.c.job_id == job_id, cuts.c.version == version)).scalar()
    return None if found is None else Cut.model_validate_json(found)


def deliver(conn: Connection, made: Delivery, *, now: datetime) -> bool:
    """Write the delivery, once; return whether it is new."""
    row = {"job_id": made.job_id, "version": made.version, "delivery": made.model_dump_json(), "delivered_at": now}
    return insert_once(conn, deliveries, row)


def delivery(conn: Connection, job_id: str, version: int) -> Delivery | None:
    """Return what was delivered for a job version."""
    statement = select(deliveries.c.delivery).where(deliveries.c.job_id == job_id, deliveries.c.version == version)
    found = conn.execute(statement).scalar()
    return None if found is None else Delivery.model_validate_json(found)


def delivered_by(conn: Connection, run_id: str) -> list[Delivery]:
    """Return what was delivered while a run carried it; what an earlier run delivered is not this one's."""
    mine = (runs.c.job_id == deliveries.c.job_id, runs.c.version == deliveries.c.version)
    statement = select(deliveries.c.delivery).join(runs, and_(*mine)).where(runs.c.run_id == run_id)
    found = conn.execute(statement.where(deliveries.c.delivered_at >= runs.c.started_at).order_by(deliveries.c.job_id)).scalars()
    return [Delivery.model_validate_json(text) for text in found]


def takes_by_id(conn: Connection, ids: Sequence[str]) -> dict[str, Take]:
    """Return takes by their id."""
    rows = conn.execute(select(takes).where(takes.c.take_id.in_(ids))).mappings()
    return {row["take_id"]: Take(**{name: row[name] for name in Take.model_fields}) for row in rows}
