"""Envelopes and caps: how much may be spent, by whom, in which window. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from aiprod.catalog import Catalog, Preset
from aiprod.models import Envelope, JobSpec, Micros, Noun, limit_micros

__all__ = ["LOCK_ORDER", "Cap", "CapKind", "approval_is_automatic", "caps_for", "day_window", "envelope_amount", "job_budget"]

CapKind = Literal["envelope", "job", "campaign", "project", "backend_day", "day"]

#: Rows are locked coldest first, in this one order everywhere, so that two holds can never wait for each other.
LOCK_ORDER: tuple[CapKind, ...] = ("envelope", "job", "campaign", "project", "backend_day", "day")


class Cap(Noun):
    """One limit that a purchase has a leg on. Amounts in micro-dollars; the window is half-open, UTC."""

    kind: CapKind
    key: str
    cap: Micros
    warn: Micros | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    @property
    def rank(self) -> int:
        return LOCK_ORDER.index(self.kind)

    @property
    def name(self) -> str:
        words = {
            "backend_day": "the day's budget of",
            "day": "the day's budget",
            "job": "the job's budget",
            "envelope": "the envelope",
        }
        return f"{words.get(self.kind, self.kind)} {self.key}"


def job_budget(spec: JobSpec, preset: Preset) -> Micros:
    """What the job may cost in all versions: its own budget, else the preset's, in micro-dollars."""
    return limit_micros(preset.budget_usd if spec.budget_usd is None else spec.budget_usd)


def envelope_amount(budget: Micros, worst_case: Micros) -> Micros:
    """What an approval allows: never more than the job's budget, nor than could be charged."""
    return min(budget, worst_case)


def approval_is_automatic(preset: Preset, amount: Micros) -> bool:
    """Whether the preset lets this envelope pass without a person. Compared with the envelope, not the expected price."""
    return preset.auto_approve_usd is not None and amount <= limit_micros(preset.auto_approve_usd)


def day_window(now: datetime, zone: ZoneInfo) -> tuple[date, datetime, datetime]:
    """Return the local date and its bounds in UTC, half-open.

    Bounds are local midnights, so a day has 23 or 25 hours where clocks change; where midnight does not exist
    the day starts at the first instant that does.
    """
    day = now.astimezone(zone).date()
    return day, _midnight(day, zone), _midnight(day + timedelta(days=1), zone)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def caps_for(
    *, spec: JobSpec, job_id: str, envelope: Envelope, backend: str, catalog: Catalog, now: datetime, campaign: Cap | None = None
) -> Sequence[Cap]:
    """Return every cap a purchase has a leg on, in lock order. The job's own words can only make them tighter."""
    preset = catalog.presets[spec.preset]
    budgets = catalog.budgets
    day, starts_at, ends_at = day_window(now, catalog.zone)
    window = f"{day.isoformat()}@{budgets.zone}"
    caps = [
        Cap(kind="envelope", key=f"{job_id}/{envelope.version}/{envelope.sequence}", cap=envelope.amount),
        Cap(kind="job", key=job_id, cap=job_budget(spec, preset)),
        Cap(
            kind="day",
            key=window,
            cap=limit_micros(budgets.day_usd),
            warn=limit_micros(budgets.day_warn_usd),
            starts_at=starts_at,
            ends_at=ends_at,
        ),
    ]
    if campaign is not None:
        caps.append(campaign)
    project: Decimal | None = budgets.project_usd.get(spec.project)
    if project is not None:
        caps.append(Cap(kind="project", key=spec.project, cap=limit_micros(project)))
    at_backend = budgets.backend_day_usd.get(backend)
    if at_backend is not None:
        caps.append(
            Cap(kind="backend_day", key=f"{backend}:{window}", cap=limit_micros(at_backend), starts_at=starts_at, ends_at=ends_at)
        )
    return sorted(caps, key=lambda cap: cap.rank)
