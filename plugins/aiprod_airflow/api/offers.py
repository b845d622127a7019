"""What can be ordered over HTTP: presets, backends, prices, and what is left of the money."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import Response

from aiprod import offering
from aiprod.backends import why_not_configured
from aiprod.budgets import day_window
from aiprod.catalog import Catalog, Model, Preset
from aiprod.ledger import gates, health, purchases
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.gates import Stopped
from aiprod.ledger.standings import Standing, standing
from aiprod.models import Allowance, JobSpec, Micros, Noun, Resolution, limit_micros, micros
from aiprod.offering import Offer
from aiprod_airflow.api.access import Orders, Who
from aiprod_airflow.api.orders import told

__all__ = ["router"]

router = APIRouter(tags=["Offers"])


class PresetRow(Noun):
    """One preset. Amounts in micro-dollars; `auto_approve` None: a person is always asked."""

    name: str
    title: str
    quality_floor: float
    max_seconds: float
    resolution: Resolution
    attempts_per_shot: int
    budget: Micros
    auto_approve: Micros | None
    approval_hours: float
    second_review: bool
    unscored: Literal["deliver", "ask"]
    may_degrade: bool
    approver_differs: bool
    allows: tuple[Allowance, ...]


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


class Presets(Noun):
    presets: tuple[PresetRow, ...]


class Backends(Noun):
    tariff: str
    backends: tuple[BackendRow, ...]


@router.get("/presets", response_model=Presets)
def presets(orders: Orders) -> Response:
    """Return what an order can be based on."""
    return told(Presets(presets=tuple(_preset(name, preset) for name, preset in orders.catalog.presets.items())))


def _preset(name: str, preset: Preset) -> PresetRow:
    return PresetRow(
        name=name,
        budget=limit_micros(preset.budget_usd),
        auto_approve=None if preset.auto_approve_usd is None else limit_micros(preset.auto_approve_usd),
        **preset.model_dump(exclude={"budget_usd", "auto_approve_usd"}),
    )


@router.post("/cost-estimate", response_model=Offer)
def cost_estimate(spec: JobSpec, caller: Who, orders: Orders) -> Response:
    """Price an order without entering it: what it costs, who would make it and why, and what would fit its budget."""
    orders.catalog.access.require_member(spec.project, caller.name)
    return told(offering.offer(orders.ledger, orders.catalog, spec))


@router.get("/backends", response_model=Backends)
def backends(orders: Orders) -> Response:
    """Return every backend: whether it can be used now, what it makes and what that costs."""
    catalog = orders.catalog
    missing = {name: why_not_configured(catalog, name) for name in catalog.backend_order}
    with orders.ledger.read() as conn:
        now = database_now(conn)
        sick = health.unhealthy(conn, catalog=catalog, now=now)
        taken = {name: purchases.slots_taken(conn, name, now) for name in catalog.backend_order}
    rows = tuple(_backend(catalog, name, missing[name], name not in sick, taken[name], now) for name in catalog.backend_order)
    return told(Backends(tariff=catalog.prices.name, backends=rows))


def _backend(catalog: Catalog, name: str, missing: str, healthy: bool, taken: int, now: datetime) -> BackendRow:
    entry = catalog.backends[name]
    kept = {"title", "embedded", "slots", "quality_prior", "expected_seconds", "models"}
    facts = entry.model_dump(include=kept)
    free, prices = max(0, entry.slots - taken), _prices(catalog, name, now)
    return BackendRow(name=name, missing=missing, healthy=healthy, free_slots=free, prices=prices, **facts)


def _prices(catalog: Catalog, name: str, now: datetime) -> tuple[PriceRow, ...]:
    """The newest price in force of everything a backend sells."""
    today = day_window(now, catalog.zone)[0]
    newest = {}
    for price in sorted(catalog.prices.prices, key=lambda p: p.valid_from):
        if price.backend == name and price.valid_from <= today:
            newest[price.model, price.audio, price.resolutions] = price
    return tuple(
        PriceRow(model=p.model, per_second=micros(p.usd_per_second), meter=p.meter, audio=p.audio, resolutions=p.resolutions)
        for p in newest.values()
    )


@router.get("/budget", response_model=BudgetView)
def budget(caller: Who, orders: Orders) -> Response:
    """Return today's caps as the next purchase would find them, without those of projects the caller does not see."""
    catalog = orders.catalog
    hidden = {f"project:{name}" for name in catalog.access.hidden_from(caller.name)}
    with orders.ledger.read() as conn:
        now = database_now(conn)
        caps = [cap for cap in standing(conn, catalog, now=now) if cap.scope not in hidden]
        # A campaign's cap does not say whose it is, and its name may.
        caps = [cap for cap in caps if not hidden or not cap.scope.startswith("campaign:")]
        stopped = gates.switch(conn)
    day, _, ends_at = day_window(now, catalog.zone)
    rows = tuple(_cap(cap) for cap in caps)
    return told(BudgetView(day=day.isoformat(), zone=catalog.budgets.zone, ends_at=ends_at, stopped=stopped, caps=rows))


def _cap(cap: Standing) -> CapRow:
    return CapRow(left=cap.left, **cap.model_dump(include=set(CapRow.model_fields) - {"left"}))
