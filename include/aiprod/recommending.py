"""An order that its budget cannot pay for → what would fit: another backend, a shorter video, another preset. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from aiprod.budgets import job_budget
from aiprod.catalog import Catalog
from aiprod.errors import SpecError
from aiprod.models import MIN_SHOT_SECONDS, JobSpec, Micros, Noun, dollars
from aiprod.planning import eligible, floor_of, plan, preset_of
from aiprod.pricing import NotCapable, legal_request, quote

__all__ = ["Way", "cheapest_way", "recommend"]


class Way(Noun):
    """The cheapest way to make an order: who makes its shots, and what they cost together in micro-dollars."""

    backends: tuple[str, ...]
    price: Micros


def cheapest_way(spec: JobSpec, catalog: Catalog, ready: Sequence[str], on: date) -> Way | None:
    """Return the cheapest way to make every shot at backends that are `ready` and expected to meet the order's floor.

    None when a shot cannot be made that way, or the order breaks its preset's rules.
    """
    try:
        names = [name for name in eligible(spec, catalog, ready) if name in ready]
        manifest = plan(spec.job_id or "estimate", spec, catalog, names) if names else None
    except SpecError:
        return None
    if manifest is None:
        return None
    floor = floor_of(spec, catalog)
    used: list[str] = []
    price = 0
    for shot in manifest.shots:
        offers: list[tuple[Micros, int, str]] = []
        for place, name in enumerate(names):
            entry = catalog.backends[name]
            if entry.quality_prior is not None and entry.quality_prior < floor:
                continue
            try:
                offers.append((quote(catalog.prices, legal_request(name, entry, manifest, shot), on), place, name))
            except NotCapable:
                continue
        if not offers:
            return None
        cheapest = min(offers)
        price += cheapest[0]
        used.append(cheapest[2])
    return Way(backends=tuple(dict.fromkeys(used)), price=price)


def recommend(spec: JobSpec, catalog: Catalog, ready: Sequence[str], on: date) -> str:
    """Return in one sentence what the order's budget would pay for, nearest to the order first; else what it would take.

    The order with any backend, then shorter in whole shots, then with another preset. The preview is never recommended.
    """
    budget = job_budget(spec, preset_of(spec, catalog))
    paid = [name for name in ready if not catalog.backends[name].embedded]

    def fits(other: JobSpec) -> Way | None:
        way = cheapest_way(other, catalog, paid, on)
        return way if way is not None and way.price <= budget else None

    free = spec.model_copy(update={"backend": "auto"})
    if way := fits(free):
        return f"{' and '.join(way.backends)} would make it for {dollars(way.price)}"
    for base, at in ((spec, f" at {spec.backend}" if spec.backend != "auto" else ""), (free, "")):
        for shorter, seconds in _shorter(base, catalog, paid):
            if way := fits(shorter):
                return f"{seconds:g} s of it would fit{at or ' at ' + ' and '.join(way.backends)}, for {dollars(way.price)}"
    offers = []
    for name in catalog.presets:
        # The budget stays the order's: another preset is no more money.
        if name != spec.preset and (way := fits(free.model_copy(update={"preset": name, "quality_floor": None}))):
            offers.append((way.price, name, way))
    if offers:
        price, name, way = min(offers, key=lambda offer: offer[:2])
        return f"preset {name} would fit at {' and '.join(way.backends)}, for {dollars(price)}"
    return "nothing shorter, cheaper or plainer fits"


def _shorter(spec: JobSpec, catalog: Catalog, ready: Sequence[str]) -> list[tuple[JobSpec, float]]:
    """The order cut to fewer of its shots, longest first; a single shot also to every shorter whole second."""
    found: list[tuple[JobSpec, float]] = []
    if spec.shots is not None:
        for count in range(len(spec.shots) - 1, 0, -1):
            kept = spec.shots[:count]
            found.append((spec.model_copy(update={"shots": kept}), sum(shot.seconds for shot in kept)))
        return found
    try:
        names = [name for name in eligible(spec, catalog, ready) if name in ready]
        shots = plan("estimate", spec, catalog, names).shots if names else ()
    except SpecError:
        return []
    lengths = [shot.seconds * count for count, shot in enumerate(shots, start=1)][:-1]
    first = shots[0].seconds if shots else 0
    lengths += [float(whole) for whole in range(int(MIN_SHOT_SECONDS), int(first) + 1) if whole < first]
    for seconds in sorted(lengths, reverse=True):
        found.append((spec.model_copy(update={"seconds": seconds}), seconds))
    return found
