"""The verdict on a storm: the vendor's books against the ledger's rows. Shares no code with the ledger.

Pure: rows and lines in, findings out. A judge that cannot find is a defect; `test_judge.py` plants one of each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

__all__ = ["Caps", "Finding", "judge", "rows_of"]

_OPEN = ("held", "submitting", "submitted", "unknown")
#: Where a request that the vendor accepted may stand: known to run or paid for, or its money set aside.
_EXPLAINS = ("submitted", "succeeded", "failed", "cancelled", "written_off", "unknown", "submitting")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TABLES = ("caps", "purchases", "legs", "postings", "takes", "qa_reports", "approvals", "jobs")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """One broken promise. `micros` where it is about money."""

    kind: str
    text: str
    micros: int = 0


@dataclass(frozen=True)
class Caps:
    """What the storm allowed, in micro-dollars, as its plan has it: not as the ledger wrote it down."""

    zone: str
    day: int
    job: Mapping[str, int]
    project: Mapping[str, int] = field(default_factory=dict)
    backend_day: Mapping[str, int] = field(default_factory=dict)
    projects: Mapping[str, str] = field(default_factory=dict)


def rows_of(conn: Connection) -> dict[str, list[Row]]:
    """Everything the judge reads of a ledger."""
    return {t: [dict(r) for r in conn.execute(text(f"SELECT * FROM {t}")).mappings()] for t in _TABLES}  # noqa: S608


def judge(accepts: Sequence[Row], rows: Mapping[str, Sequence[Row]], caps: Caps) -> list[Finding]:
    """Return every broken promise; none when nothing was overspent, doubled, lost or left unexplained."""
    purchases = {p["purchase_id"]: p for p in rows["purchases"]}
    by_key: dict[str, list[Row]] = defaultdict(list)
    for accept in accepts:
        by_key[accept["key"]].append(accept)
    return [
        *_crossed(rows, purchases, caps),
        *_beyond_holds(by_key, purchases),
        *_duplicates(by_key, purchases, rows),
        *_lost(by_key, purchases, rows),
        *_left_open(purchases.values()),
    ]


def _crossed(rows: Mapping[str, Sequence[Row]], purchases: Mapping[str, Row], caps: Caps) -> Iterable[Finding]:
    """Replay the journal: no hold may take a cap further than it goes. Only a vendor's bill may."""
    envelopes = {f"{a['job_id']}/{a['version']}/{a['sequence']}": int(a["amount"]) for a in rows["approvals"]}
    used: dict[tuple[str, str], int] = defaultdict(int)
    for posting in sorted(rows["postings"], key=lambda p: int(p["posting_id"])):
        purchase = purchases[posting["purchase_id"]]
        for kind, key, limit in _limits(purchase, caps, envelopes):
            used[kind, key] += posting["d_reserved"] + posting["d_settled"]
            over = used[kind, key] - limit
            if posting["kind"] == "hold" and over > 0:
                beyond = min(over, posting["d_reserved"])
                yield Finding(
                    "overspend", f"{kind} {key}: the hold of {purchase['purchase_id']} goes {over} over {limit}", beyond
                )


def _limits(purchase: Row, caps: Caps, envelopes: Mapping[str, int]) -> Iterable[tuple[str, str, int]]:
    """Every cap that should apply to a purchase, whatever legs the ledger gave it."""
    job, backend = purchase["job_id"], purchase["backend"]
    held_at = _EPOCH + timedelta(microseconds=purchase["created_at"])
    day = held_at.astimezone(ZoneInfo(caps.zone)).date().isoformat()
    envelope = f"{job}/{purchase['version']}/{purchase['envelope']}"
    yield "envelope", envelope, envelopes.get(envelope, 0)
    yield "job", job, caps.job[job]
    yield "day", day, caps.day
    project = caps.projects.get(job, "")
    if project in caps.project:
        yield "project", project, caps.project[project]
    if backend in caps.backend_day:
        yield "backend day", f"{backend} {day}", caps.backend_day[backend]


def _beyond_holds(by_key: Mapping[str, list[Row]], purchases: Mapping[str, Row]) -> Iterable[Finding]:
    """What is billed at list price must fit its hold, and what is closed must have been booked as billed."""
    for key, booked in by_key.items():
        purchase = purchases.get(key)
        if purchase is None:
            continue
        price = max(a["price_micros"] for a in booked)
        if price > purchase["hold"]:
            beyond = price - purchase["hold"]
            yield Finding("overspend", f"{key}: costs {price}, but only {purchase['hold']} was set aside", beyond)
        billed = sum(a["billable_micros"] for a in booked)
        charged = purchase["charged"] or 0
        if purchase["state"] in ("succeeded", "failed", "cancelled") and charged < billed:
            yield Finding("overspend", f"{key}: billed {billed}, booked {charged}", billed - charged)


def _duplicates(
    by_key: Mapping[str, list[Row]], purchases: Mapping[str, Row], rows: Mapping[str, Sequence[Row]]
) -> Iterable[Finding]:
    for key, booked in by_key.items():
        if len(booked) > 1:
            yield Finding("duplicate", f"{key}: accepted {len(booked)} times: {', '.join(a['id'] for a in booked)}")
    accepted_at = {r["take_id"]: r["judged_at"] for r in rows["qa_reports"] if r["verdict"] == "accepted"}
    good: dict[tuple[str, str], int] = {}
    for key, moment in accepted_at.items():
        p = purchases[key]
        shot = (p["job_id"], p["subject"])
        good[shot] = min(moment, good.get(shot, moment))
    for key in by_key:
        p = purchases.get(key, {})
        done = good.get((p.get("job_id", ""), p.get("subject", "")))
        if done is not None and p["created_at"] > done:
            yield Finding("duplicate", f"{key}: bought for {p['job_id']} shot {p['subject']}, which had its take")


def _lost(by_key: Mapping[str, list[Row]], purchases: Mapping[str, Row], rows: Mapping[str, Sequence[Row]]) -> Iterable[Finding]:
    takes = {t["take_id"] for t in rows["takes"]}
    for key, booked in by_key.items():
        ids = {a["id"] for a in booked}
        purchase = purchases.get(key)
        if purchase is None:
            yield Finding("lost", f"{key}: accepted, and the ledger knows no such purchase")
        elif purchase["state"] not in _EXPLAINS:
            yield Finding("lost", f"{key}: accepted, and the ledger says it is {purchase['state']}")
        elif purchase["vendor_id"] is not None and purchase["vendor_id"] not in ids:
            yield Finding("lost", f"{key}: the ledger has {purchase['vendor_id']}, the vendor {', '.join(ids)}")
    for key, purchase in purchases.items():
        if purchase["state"] == "succeeded" and key not in takes:
            yield Finding("lost", f"{key}: paid, and its file never came home")
        if purchase["vendor_id"] is not None and key not in by_key:
            yield Finding("lost", f"{key}: the ledger has {purchase['vendor_id']}, which the vendor never accepted")


def _left_open(purchases: Iterable[Row]) -> Iterable[Finding]:
    for p in purchases:
        if p["state"] in _OPEN and not (p["state"] in ("unknown", "submitted") and p["parked_at"] is not None):
            yield Finding(
                "unexplained hold", f"{p['purchase_id']}: {p['state']} with {p['hold']} held, and nobody was told", p["hold"]
            )
