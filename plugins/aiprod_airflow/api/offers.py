"""What can be ordered over HTTP: presets, backends, prices, and what is left of the money."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from fastapi.responses import Response

from aiprod import offering, supply
from aiprod.catalog import Preset
from aiprod.models import Allowance, JobSpec, Micros, Noun, Resolution, limit_micros
from aiprod.offering import Offer
from aiprod.supply import Backends, BudgetView
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


class Presets(Noun):
    presets: tuple[PresetRow, ...]


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
    return told(supply.backends(orders.ledger, orders.catalog))


@router.get("/budget", response_model=BudgetView)
def budget(caller: Who, orders: Orders) -> Response:
    """Return today's caps as the next purchase would find them, without those of projects the caller does not see."""
    hidden = orders.catalog.access.hidden_from(caller.name)
    return told(supply.budget(orders.ledger, orders.catalog, hidden_projects=hidden))
