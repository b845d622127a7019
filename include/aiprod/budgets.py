"""Envelopes and caps: how much may be spent, by whom, in which window. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from aiprod.catalog import Catalog, Preset
from aiprod.errors import SpecError
from aiprod.models import Envelope, JobSpec, Micros, Noun, limit_micros

__all__ = [
    "LOCK_ORDER",
    "Cap",
    "CapKind",
    "Scope",
    "approval_is_automatic",
    "cap_on",
    "caps_for",
    "day_window",
    "envelope_amount",
    "job_budget",
]

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


class Scope(Noun):
    """What an admin sets a cap on, as people type it: `day`, `project:acme`, `backend:runway`, `campaign:spring`, `job:job-1`."""

    kind: Literal["day", "backend", "project", "campaign", "job"]
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> Scope:
        """Return the scope a person typed. Raises `SpecError`."""
        if text == "day":
            return cls(kind="day")
        found = re.fullmatch(r"(backend|project|campaign|job):([a-z0-9][a-z0-9_-]{0,127})", text)
        if found is None:
            raise SpecError([f"{text!r} is no cap: say day, project:NAME, backend:NAME, campaign:NAME or job:ID"])
        return cls.model_validate({"kind": found[1], "name": found[2]})

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind


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


def cap_on(scope: Scope, catalog: Catalog, *, now: datetime, words: Mapping[str, Micros]) -> Cap | None:
    """Return the cap on a scope as of `now`: what was set by hand (`words`, by scope), else the configured one, else None.

    A day that was set by hand warns at the same share of it as the configured day does.
    """
    budgets = catalog.budgets
    configured: dict[str, Decimal | None] = {
        "day": budgets.day_usd,
        "backend": budgets.backend_day_usd.get(scope.name),
        "project": budgets.project_usd.get(scope.name),
    }
    usd, said = configured.get(scope.kind), words.get(str(scope))
    if said is None and usd is None:
        return None
    amount = said if said is not None else limit_micros(usd or Decimal(0))
    if scope.kind == "job" or scope.kind == "project" or scope.kind == "campaign":
        return Cap(kind=scope.kind, key=scope.name, cap=amount)
    day, starts_at, ends_at = day_window(now, catalog.zone)
    window = f"{day.isoformat()}@{budgets.zone}"
    if scope.kind == "backend":
        return Cap(kind="backend_day", key=f"{scope.name}:{window}", cap=amount, starts_at=starts_at, ends_at=ends_at)
    share = budgets.day_warn_usd / budgets.day_usd if budgets.day_usd else Decimal(1)
    warn = limit_micros(budgets.day_warn_usd) if said is None else int(said * share)
    return Cap(kind="day", key=window, cap=amount, warn=warn, starts_at=starts_at, ends_at=ends_at)


def caps_for(
    *,
    spec: JobSpec,
    job_id: str,
    envelope: Envelope,
    backend: str,
    catalog: Catalog,
    now: datetime,
    campaign: Cap | None = None,
    words: Mapping[str, Micros] | None = None,
) -> Sequence[Cap]:
    """Return every cap a purchase has a leg on, in lock order. The job's own words can only make them tighter.

    `words` are the amounts that an admin set by hand, by scope; they stand before the configuration.
    """
    preset = catalog.presets[spec.preset]
    scopes = (Scope(kind="day"), Scope(kind="project", name=spec.project), Scope(kind="backend", name=backend))
    caps = [
        Cap(kind="envelope", key=f"{job_id}/{envelope.version}/{envelope.sequence}", cap=envelope.amount),
        Cap(kind="job", key=job_id, cap=job_budget(spec, preset)),
        *(cap for cap in (cap_on(scope, catalog, now=now, words=words or {}) for scope in scopes) if cap is not None),
    ]
    if campaign is not None:
        caps.append(campaign)
    return sorted(caps, key=lambda cap: cap.rank)
