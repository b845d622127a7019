"""What an order or a manifest would cost at the backends there are, or why nobody could make it. Reads no ledger."""

from __future__ import annotations

from datetime import datetime

from aiprod.budgets import job_budget
from aiprod.catalog import Catalog
from aiprod.choosing import configured, facts_before_money
from aiprod.errors import SpecError
from aiprod.judging import cost_per_take
from aiprod.models import Decision, Estimate, JobSpec, Manifest, Micros, dollars
from aiprod.planning import eligible, floor_of, plan, preset_of
from aiprod.pricing import estimate
from aiprod.recommending import recommend
from aiprod.routing import route

__all__ = ["NO_LIMIT", "makers", "price", "price_shots"]

#: More than any cap: what a shot would get if money were no object.
NO_LIMIT: Micros = 10**15


def price(
    job_id: str, spec: JobSpec, catalog: Catalog, *, now: datetime, budget: Micros | None = None
) -> tuple[Manifest, Estimate, tuple[str, ...]]:
    """Return manifest, estimate and eligible backends of an order, without touching the ledger.

    `budget` is in micro-dollars; None is the order's own.
    Raises `SpecError` when no configured backend can make a shot, or the budget cannot pay for the cheapest way.
    """
    allowed = job_budget(spec, preset_of(spec, catalog)) if budget is None else budget
    manifest = plan(job_id, spec, catalog, makers(spec, catalog))
    priced, able = price_shots(manifest, spec, catalog, budget=allowed, now=now)
    return manifest, priced, able


def makers(spec: JobSpec, catalog: Catalog) -> tuple[str, ...]:
    """Return the backends that may serve an order. Raises `SpecError` when there is none."""
    names = eligible(spec, catalog, configured(catalog))
    if not names:
        raise SpecError(["backend: no backend is configured; set a vendor's key or keep the embedded one in backends.yaml"])
    return names


def price_shots(
    manifest: Manifest, spec: JobSpec, catalog: Catalog, *, budget: Micros, now: datetime
) -> tuple[Estimate, tuple[str, ...]]:
    """Return the estimate of a manifest's shots, and the backends that can be bought from now. Raises like `price`."""
    preset = preset_of(spec, catalog)
    ready = configured(catalog)
    names = makers(spec, catalog)
    floor = floor_of(spec, catalog)
    chosen: dict[int, str] = {}
    problems: list[str] = []
    cheapest = 0

    def decide(shot: int, money: Micros) -> Decision:
        known = facts_before_money(catalog, manifest, shot, names, budget=money, now=now)
        return route(shot, known, floor=floor, prefer=spec.prefer, may_degrade=preset.may_degrade, at_cap=spec.at_cap)

    for shot in manifest.shots:
        wide = decide(shot.index, NO_LIMIT)
        if wide.chosen is None:
            problems.append(_refusal(wide, shot.index, spec, names))
        cheapest += min((c.quote or 0 for c in wide.candidates if c.rank is not None), default=0)
        chosen[shot.index] = decide(shot.index, budget).chosen or ""
    if problems:
        raise SpecError(problems)
    if cheapest > budget:
        instead = recommend(spec, catalog, [name for name in catalog.vendors if name in ready], now.date())
        costs = f"the cheapest way to make it costs {dollars(cheapest)}"
        raise SpecError([f"budget_usd: {dollars(budget)} cannot pay for this video; {costs}; {instead}"])
    able = tuple(name for name in names if name in ready)
    looking = cost_per_take(catalog, manifest, able, now.date())
    return estimate(manifest, catalog, able, preset.attempts_per_shot, chosen, now.date(), judging=looking), able


def _refusal(decision: Decision, shot: int, spec: JobSpec, names: tuple[str, ...]) -> str:
    field = "backend" if len(names) == 1 else f"shots.{shot - 1}" if spec.shots else "order"
    reasons = "; ".join(f"{c.backend} {c.lost}" for c in decision.candidates)
    return f"{field}: no backend can make shot {shot}: {reasons}"
