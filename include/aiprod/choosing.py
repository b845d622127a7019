"""What routing is told about a shot: its order, its history, and what health and budgets leave; and what it chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from aiprod.backends import backend, why_not_configured
from aiprod.budgets import Cap
from aiprod.catalog import Catalog
from aiprod.errors import BackendError, FailureKind
from aiprod.ledger import Connection, caps, health, jobs, limits, purchases
from aiprod.ledger.limits import InForce
from aiprod.ledger.purchases import Purchase
from aiprod.models import Decision, Envelope, JobSpec, Manifest, Noun
from aiprod.planning import floor_of
from aiprod.pricing import NotCapable, legal_request, quote
from aiprod.purchasing import envelope_of
from aiprod.routing import Facts, route

__all__ = ["ShotOrder", "configured", "decided", "facts_before_money", "objections", "ordered", "purchases_of_shot"]

#: After one of these the same backend would say the same of the same shot.
_BARRED = {
    FailureKind.AUTH: "refused our credentials",
    FailureKind.INVALID_INPUT: "refused this shot",
    FailureKind.MODERATED: "moderated this shot",
    FailureKind.QUOTA_EXHAUSTED: "is out of quota",
}


class ShotOrder(Noun):
    """What the ledger says of one shot: its order, manifest, approval, and the purchases made for it."""

    shot: int
    spec: JobSpec
    manifest: Manifest
    envelope: Envelope
    made: tuple[Purchase, ...]

    def floor(self, catalog: Catalog) -> float:
        """The quality below which no backend is used: the job's word, else the preset's."""
        return floor_of(self.spec, catalog)

    def caps(self, rules: InForce, backend: str, catalog: Catalog, *, now: datetime) -> Sequence[Cap]:
        """Every cap that a purchase of this shot at a backend would have a leg on."""
        job_id = self.envelope.job_id
        return rules.caps(spec=self.spec, job_id=job_id, envelope=self.envelope, backend=backend, catalog=catalog, now=now)


def configured(catalog: Catalog) -> tuple[str, ...]:
    """Return the backends that can be bought from here and now."""
    return tuple(name for name in catalog.backend_order if not why_not_configured(catalog, name))


def facts_before_money(
    catalog: Catalog, manifest: Manifest, shot: int, names: Sequence[str], *, budget: int, now: datetime
) -> list[Facts]:
    """Return what routing would know about a shot if nothing had been bought and everybody were healthy."""
    return [_facts(catalog, manifest, shot, name, headroom=(budget, "the job's budget"), now=now) for name in names]


def ordered(conn: Connection, job_id: str, version: int, shot: int) -> ShotOrder:
    """Return what the ledger says of one shot. Raises `PurchasingStopped` when nobody approved the job."""
    return ShotOrder(
        shot=shot,
        spec=jobs.spec(conn, job_id),
        manifest=jobs.priced(conn, job_id, version).manifest,
        envelope=envelope_of(conn, job_id, version),
        made=tuple(purchases_of_shot(conn, job_id, version, shot)),
    )


def objections(catalog: Catalog, manifest: Manifest, shots: Sequence[int], names: Sequence[str]) -> dict[tuple[int, str], str]:
    """Return what each backend itself says against each shot, by shot and backend, before any money is set aside.

    May ask vendors, so never inside a transaction.
    """
    found = {}
    for name in (name for name in names if not why_not_configured(catalog, name)):
        adapter = backend(catalog, name)
        for shot in shots:
            try:
                request = legal_request(name, catalog.backends[name], manifest, manifest.shot(shot))
                if adapter.validate(request) != request:
                    found[shot, name] = "would make something else of it"
            except NotCapable:
                continue  # Routing finds that out by itself.
            except BackendError as error:
                found[shot, name] = f"would not take it: {error}"
    return found


def decided(
    conn: Connection,
    catalog: Catalog,
    order: ShotOrder,
    *,
    now: datetime,
    against: Mapping[tuple[int, str], str] | None = None,
) -> tuple[Decision, Sequence[Facts]]:
    """Return what would be chosen for a shot now, and the facts it rests on. Only looks, at health and budgets."""
    spec, envelope = order.spec, order.envelope
    rules = limits.in_force(conn, catalog, envelope.job_id, now=now)
    # Backends without a day's budget of their own have the same caps.
    own = {name: name if rules.has_own_day(name, catalog) else "" for name in envelope.backends}
    wanted = {of: order.caps(rules, of, catalog, now=now) for of in set(own.values())}
    left = dict(zip(wanted, caps.headrooms(conn, list(wanted.values())), strict=True))
    sick = health.unhealthy(conn, catalog=catalog, now=now)
    known = [_facts_now(catalog, order, name, left[own[name]], healthy=name not in sick, now=now) for name in envelope.backends]
    said = against or {}
    known = [_unless_objected(f, said.get((order.shot, f.backend), "")) for f in known]
    used = sum(1 for p in order.made if _counts(p))
    if used >= envelope.attempts_per_shot:
        known = [f.model_copy(update={"barred": f"all {used} attempts of the approval are used"}) for f in known]
    may_degrade = catalog.presets[spec.preset].may_degrade
    floor = order.floor(catalog)
    decision = route(order.shot, known, floor=floor, prefer=spec.prefer, may_degrade=may_degrade, at_cap=spec.at_cap)
    return decision, known


def _unless_objected(facts: Facts, why: str) -> Facts:
    return facts.model_copy(update={"request": None, "quote": None, "unfit": why}) if why and not facts.unfit else facts


def _counts(purchase: Purchase) -> bool:
    """Whether a purchase uses up one of the attempts that were approved: one that was or may be charged, or has a take."""
    return purchase.state in ("submitted", "submitting", "unknown", "succeeded") or bool(purchase.charged)


def _facts_now(catalog: Catalog, order: ShotOrder, name: str, left: tuple[int, str], *, healthy: bool, now: datetime) -> Facts:
    here = [p for p in order.made if p.backend == name and p.state not in ("absent", "voided", "expired")]
    barred = next((f"{_BARRED[p.failure]} before" for p in here if p.failure and p.failure in _BARRED), "")
    if any(p.parked_at is not None and p.state in ("unknown", "submitted") for p in here):
        # Elsewhere the shot may be bought again; here it may be the same render, paid for a second time.
        barred = "may still be making this shot"
    return _facts(
        catalog,
        order.manifest,
        order.shot,
        name,
        headroom=left,
        now=now,
        sequence=len(order.made) + 1,
        tried=len(here),
        barred=barred,
        healthy=healthy,
    )


def _facts(
    catalog: Catalog,
    manifest: Manifest,
    shot: int,
    name: str,
    *,
    headroom: tuple[int, str],
    now: datetime,
    sequence: int = 1,
    tried: int = 0,
    barred: str = "",
    healthy: bool = True,
) -> Facts:
    entry = catalog.backends[name]
    unfit = why_not_configured(catalog, name)
    request, price = None, None
    if not unfit:
        try:
            request = legal_request(name, entry, manifest, manifest.shot(shot), sequence=sequence)
            price = quote(catalog.prices, request, now.date())
        except NotCapable as why:
            unfit = str(why)
    return Facts(
        backend=name,
        request=request,
        quote=price,
        unfit=unfit,
        quality=entry.quality_prior,
        expected_seconds=entry.expected_seconds,
        headroom=headroom[0],
        tightest=headroom[1],
        tried=tried,
        barred=barred,
        healthy=healthy,
    )


def purchases_of_shot(conn: Connection, job_id: str, version: int, shot: int) -> list[Purchase]:
    """Return every purchase of one shot, oldest first."""
    return [p for p in purchases.of_job(conn, job_id, version) if p.shot == shot]
