"""What an order would cost, who would make it, and what today's money allows. Only looks: nothing is entered."""

from __future__ import annotations

from datetime import datetime

from aiprod.budgets import approval_is_automatic, envelope_amount, job_budget
from aiprod.catalog import Catalog
from aiprod.choosing import configured, facts_before_money
from aiprod.errors import SpecError
from aiprod.estimating import NO_LIMIT, price
from aiprod.ledger import Ledger
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.standings import Standing, standing
from aiprod.models import Estimate, JobSpec, Manifest, Micros, Noun
from aiprod.planning import floor_of, preset_of
from aiprod.recommending import recommend
from aiprod.routing import route

__all__ = ["BackendOffer", "Offer", "offer"]


class BackendOffer(Noun):
    """What one backend would charge for the shots it can make, in micro-dollars."""

    backend: str
    shots: int
    quote: Micros


class Offer(Noun):
    """What would come of an order now. `amount` is what would have to be approved, by a person unless `automatic`.

    `left_today` is what day and project have left for anybody; None: no such cap. Amounts in micro-dollars.
    """

    manifest: Manifest
    estimate: Estimate
    backends: tuple[BackendOffer, ...]
    decisions: tuple[str, ...]
    budget: Micros
    fits_budget: bool
    amount: Micros
    automatic: bool
    left_today: Micros | None
    fits_today: bool
    recommendation: str | None


def offer(ledger: Ledger, catalog: Catalog, spec: JobSpec) -> Offer:
    """Return what would come of an order. Raises `SpecError` when nobody could make it, whatever it may cost."""
    with ledger.read() as conn:
        now = database_now(conn)
        caps = standing(conn, catalog, now=now)
    preset = preset_of(spec, catalog)
    budget = job_budget(spec, preset)
    name = spec.job_id or "estimate"
    advice: str | None = None
    try:
        manifest, estimate, able = price(name, spec, catalog, now=now)
    except SpecError:
        manifest, estimate, able = price(name, spec, catalog, now=now, budget=NO_LIMIT)
        ready = configured(catalog)
        advice = recommend(spec, catalog, [vendor for vendor in catalog.vendors if vendor in ready], now.date())
    left = _left(caps, spec.project)
    amount = envelope_amount(budget, estimate.worst_case)
    return Offer(
        manifest=manifest,
        estimate=estimate,
        backends=_by_backend(estimate, able),
        decisions=_decisions(catalog, spec, manifest, able, budget=budget, now=now),
        budget=budget,
        fits_budget=advice is None,
        amount=amount,
        automatic=approval_is_automatic(preset, amount),
        left_today=left,
        fits_today=left is None or estimate.expected <= left,
        recommendation=advice,
    )


def _decisions(
    catalog: Catalog, spec: JobSpec, manifest: Manifest, names: tuple[str, ...], *, budget: Micros, now: datetime
) -> tuple[str, ...]:
    """Whom routing would choose for every shot, in sentences."""
    floor, degrade = floor_of(spec, catalog), preset_of(spec, catalog).may_degrade
    told = []
    for shot in manifest.shots:
        facts = facts_before_money(catalog, manifest, shot.index, names, budget=budget, now=now)
        told.append(str(route(shot.index, facts, floor=floor, prefer=spec.prefer, may_degrade=degrade, at_cap=spec.at_cap)))
    return tuple(told)


def _by_backend(estimate: Estimate, names: tuple[str, ...]) -> tuple[BackendOffer, ...]:
    quotes = {name: [line.quote for line in estimate.lines if line.backend == name] for name in names}
    return tuple(BackendOffer(backend=name, shots=len(found), quote=sum(found)) for name, found in quotes.items() if found)


def _left(caps: list[Standing], project: str) -> Micros | None:
    """The least that is left under the caps that every purchase of the project has a leg on today."""
    left = [cap.left for cap in caps if cap.applies and (cap.kind == "day" or (cap.kind, cap.key) == ("project", project))]
    return min(left, default=None)
