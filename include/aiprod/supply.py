"""Who can be bought from now and at which prices, and what today's money allows. Only looks."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from aiprod.backends import why_not_configured
from aiprod.budgets import day_window
from aiprod.catalog import Catalog, Model
from aiprod.ledger import Ledger, gates, health, purchases
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.gates import Stopped
from aiprod.ledger.standings import Standing, standing
from aiprod.models import Micros, Noun, Resolution, micros
from aiprod.pricing import in_force

__all__ = ["BackendRow", "Backends", "BudgetView", "CapRow", "PriceRow", "backends", "budget"]


class PriceRow(Noun):
    """What a second at one model costs now, in micro-dollars. `meter`: of the video made, or of the machine's work."""

    model: str
    per_second: Micros
    meter: str
    audio: bool | None
    resolutions: tuple[Resolution, ...] | None


class BackendRow(Noun):
    """One backend, as it stands. `missing` says what keeps it from being used, empty when nothing does."""

    name: str
    title: str
    missing: str
    healthy: bool
    embedded: bool
    slots: int
    free_slots: int
    quality_prior: float | None
    expected_seconds: float
    models: tuple[Model, ...]
    prices: tuple[PriceRow, ...]


class Backends(Noun):
    """Every backend, in the catalogue's order, and the tariff they are priced by."""

    tariff: str
    backends: tuple[BackendRow, ...]


class CapRow(Noun):
    """One cap of today, in micro-dollars. The window is half-open; without one the cap never ends."""

    scope: str
    cap: Micros
    held: Micros
    charged: Micros
    left: Micros
    overrun: Micros
    warn: Micros | None
    set_by: str | None
    starts_at: datetime | None
    ends_at: datetime | None


class BudgetView(Noun):
    """The money of a day. `stopped`: who pulled the kill switch, and why."""

    day: str
    zone: str
    ends_at: datetime
    stopped: Stopped | None
    caps: tuple[CapRow, ...]


def backends(ledger: Ledger, catalog: Catalog) -> Backends:
    """Return every backend: whether it can be used now, what it makes and what that costs."""
    # Outside the transaction: a key may have to be asked for.
    missing = {name: why_not_configured(catalog, name) for name in catalog.backend_order}
    with ledger.read() as conn:
        now = database_now(conn)
        sick = health.unhealthy(conn, catalog=catalog, now=now)
        taken = {name: purchases.slots_taken(conn, name, now) for name in catalog.backend_order}
    rows = []
    for name in catalog.backend_order:
        entry = catalog.backends[name]
        facts = entry.model_dump(include={"title", "embedded", "slots", "quality_prior", "expected_seconds", "models"})
        prices = tuple(
            PriceRow(model=p.model, per_second=micros(p.usd_per_second), meter=p.meter, audio=p.audio, resolutions=p.resolutions)
            for p in in_force(catalog.prices, name, now.date())
        )
        free = max(0, entry.slots - taken[name])
        rows.append(
            BackendRow(name=name, missing=missing[name], healthy=name not in sick, free_slots=free, prices=prices, **facts)
        )
    return Backends(tariff=catalog.prices.name, backends=tuple(rows))


def budget(ledger: Ledger, catalog: Catalog, *, hidden_projects: Collection[str] = ()) -> BudgetView:
    """Return today's caps as the next purchase would find them, without those of projects that the reader may not see."""
    hidden = {f"project:{name}" for name in hidden_projects}
    with ledger.read() as conn:
        now = database_now(conn)
        caps = [cap for cap in standing(conn, catalog, now=now) if cap.scope not in hidden]
        # A campaign's cap does not say whose it is, and its name may.
        caps = [cap for cap in caps if not hidden or not cap.scope.startswith("campaign:")]
        stopped = gates.switch(conn)
    day, _, ends_at = day_window(now, catalog.zone)
    rows = tuple(_cap(cap) for cap in caps)
    return BudgetView(day=day.isoformat(), zone=catalog.budgets.zone, ends_at=ends_at, stopped=stopped, caps=rows)


def _cap(cap: Standing) -> CapRow:
    return CapRow(left=cap.left, **cap.model_dump(include=set(CapRow.model_fields) - {"left"}))
