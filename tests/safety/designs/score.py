"""One score for every design, ours included: the vendor's books against what the design knows at the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from tests.safety.judge import Caps

__all__ = ["Record", "Score", "score"]


@dataclass(frozen=True)
class Record:
    """One request as the design has it. `marker` is what the vendor was told with it."""

    marker: str
    job: str
    shot: int
    #: When it was decided that there is money for it, in epoch seconds.
    decided_at: float
    #: The vendor's render that the design knows of.
    vendor_id: str | None
    #: Whether its file came home.
    home: bool = False
    #: Whether it waits for a person, with its money held.
    told: bool = False


@dataclass(frozen=True)
class Score:
    """What one storm came to. `overspend` in micro-dollars."""

    accepts: int
    overspend: int
    duplicates: int
    lost: int
    parked: int
    delivered: int


def score(
    accepts: Sequence[Mapping[str, Any]], records: Iterable[Record], done_at: Mapping[tuple[str, int], float], caps: Caps
) -> Score:
    """Score one storm; `done_at` is when a shot got the take that counts.

    What a render that failed for free, or that a vendor billed above its price, costs is nobody's fault: not counted.
    """
    known = {record.marker: record for record in records}
    by_marker: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for accept in accepts:
        if accept["billable_micros"] > 0:
            by_marker[accept["key"]].append(accept)
    return Score(
        accepts=sum(len(same) for same in by_marker.values()),
        overspend=_overspend(by_marker, known, caps),
        duplicates=_duplicates(by_marker, known, done_at),
        lost=sum(_is_lost(accept, known.get(marker)) for marker, same in by_marker.items() for accept in same),
        parked=sum(record.told for record in known.values()),
        delivered=len(done_at),
    )


def _overspend(by_marker: Mapping[str, list[Mapping[str, Any]]], known: Mapping[str, Record], caps: Caps) -> int:
    """How far the cap that was crossed furthest was crossed, at list prices."""
    used: dict[tuple[str, str], int] = defaultdict(int)
    limits: dict[tuple[str, str], int] = {}
    for marker, same in by_marker.items():
        record = known.get(marker)
        if record is None:
            # Nobody decided on it: no cap allows it.
            used["nobody", ""] += sum(accept["price_micros"] for accept in same)
            limits["nobody", ""] = 0
            continue
        day = datetime.fromtimestamp(record.decided_at, UTC).astimezone(ZoneInfo(caps.zone)).date().isoformat()
        project = caps.projects.get(record.job, "")
        for accept in same:
            backend = accept["backend"]
            applying = {("job", record.job): caps.job[record.job], ("day", day): caps.day}
            applying |= {("project", project): caps.project[project]} if project in caps.project else {}
            applying |= {("backend day", f"{backend} {day}"): caps.backend_day[backend]} if backend in caps.backend_day else {}
            limits |= applying
            for name in applying:
                used[name] += accept["price_micros"]
    return max((max(0, used[name] - limit) for name, limit in limits.items()), default=0)


def _duplicates(
    by_marker: Mapping[str, list[Mapping[str, Any]]], known: Mapping[str, Record], done_at: Mapping[tuple[str, int], float]
) -> int:
    """Accepts beyond the first of one request, and requests for a shot that had its take."""
    found = 0
    for marker, same in by_marker.items():
        record = known.get(marker)
        done = done_at.get((record.job, record.shot)) if record is not None else None
        late = record is not None and done is not None and record.decided_at > done
        found += len(same) if late else len(same) - 1
    return found


def _is_lost(accept: Mapping[str, Any], record: Record | None) -> bool:
    """Whether a good clip was paid for that nobody will ever fetch or ask about."""
    order = accept["order"]
    if "fail-charged" in order or "hang" in order:
        return False
    if record is None:
        return True
    return not record.told and (record.vendor_id != accept["id"] or not record.home)
