"""What routing is told about a shot: its order, its history, and what health and budgets leave; and what it chose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import Field

from aiprod.backends import backend, why_not_configured
from aiprod.budgets import Cap
from aiprod.catalog import Catalog
from aiprod.errors import BackendError, FailureKind
from aiprod.ledger import Connection, caps, health, jobs, limits, purchases, results
from aiprod.ledger.purchases import NewHold, Purchase
from aiprod.models import Decision, Envelope, JobSpec, Manifest, Micros, Noun, Verdict
from aiprod.planning import floor_of
from aiprod.pricing import NotCapable, legal_request, quote
from aiprod.purchasing import envelope_of
from aiprod.routing import Facts, route

__all__ = [
    "Chosen", "JobOrder", "Situation", "configured", "decided", "facts_before_money", "objections", "ordered", "situation",
]  # fmt: skip

#: After one of these the same backend would say the same of the same shot.
_BARRED = {
    FailureKind.AUTH: "refused our credentials",
    FailureKind.INVALID_INPUT: "refused this shot",
    FailureKind.MODERATED: "moderated this shot",
    FailureKind.QUOTA_EXHAUSTED: "is out of quota",
}


class JobOrder(Noun):
    """What the ledger says of one job version: its order, manifest, approval, and the purchases made for its shots."""

    spec: JobSpec
    manifest: Manifest
    envelope: Envelope
    purchases: tuple[Purchase, ...]
    #: By shot, where a take was rejected: the quality of the best without a veto, 0 where none has a score.
    rejected: Mapping[int, float] = Field(default_factory=dict)

    def made(self, shot: int) -> list[Purchase]:
        """The purchases made for a shot, oldest first. Those of its twins were for the very same clip."""
        twins = self.manifest.twins(shot)
        return [p for p in self.purchases if p.shot in twins]

    def best(self, shot: int) -> float | None:
        """The quality of the best take there is for a shot, once one was rejected; None before."""
        return max((self.rejected[twin] for twin in self.manifest.twins(shot) if twin in self.rejected), default=None)

    def floor(self, catalog: Catalog) -> float:
        """The quality below which no backend is used: the job's word, else the preset's."""
        return floor_of(self.spec, catalog)


@dataclass(frozen=True)
class Situation:
    """What one job's shots are chosen by at one moment: caps in force by backend, what is left under each, health."""

    now: datetime
    under_campaign: bool
    limits: Mapping[str, Sequence[Cap]]
    #: Micro-dollars by kind and key.
    left: Mapping[tuple[str, str], Micros]
    #: The unhealthy, and whether there is a probe for one hold.
    sick: Mapping[str, bool]

    def free(self, limits: Sequence[Cap], chosen: Chosen) -> dict[tuple[str, str], Micros]:
        """What is left under some caps once the chosen is held, in micro-dollars."""
        return {(cap.kind, cap.key): self.left[cap.kind, cap.key] - chosen.money[cap.kind, cap.key] for cap in limits}

    def healthy(self, backend: str, chosen: Chosen) -> bool:
        """Whether a hold at a backend could be admitted: the chosen one may have the only probe."""
        return backend not in self.sick or (self.sick[backend] and not chosen.holds[backend])


@dataclass(frozen=True)
class Chosen:
    """What was chosen in a transaction and is not held yet: micro-dollars by cap, and how many holds by backend."""

    money: Counter[tuple[str, str]] = field(default_factory=Counter)
    holds: Counter[str] = field(default_factory=Counter)

    def add(self, new: NewHold) -> None:
        """Count one more hold."""
        self.holds[new.request.backend] += 1
        for cap in new.limits:
            self.money[cap.kind, cap.key] += new.amount


def configured(catalog: Catalog) -> tuple[str, ...]:
    """Return the backends that can be bought from here and now."""
    return tuple(name for name in catalog.backend_order if not why_not_configured(catalog, name))


def facts_before_money(
    catalog: Catalog, manifest: Manifest, shot: int, names: Sequence[str], *, budget: int, now: datetime
) -> list[Facts]:
    """Return what routing would know about a shot if nothing had been bought and everybody were healthy."""
    return [_facts(catalog, manifest, shot, name, headroom=(budget, "the job's budget"), now=now) for name in names]


def ordered(conn: Connection, job_id: str, version: int) -> JobOrder:
    """Return what the ledger says of one job version. Raises `PurchasingStopped` when nobody approved it."""
    return JobOrder(
        spec=jobs.spec(conn, job_id),
        manifest=jobs.priced(conn, job_id, version).manifest,
        envelope=envelope_of(conn, job_id, version),
        purchases=tuple(purchases.of_job(conn, job_id, version)),
        rejected=_rejected(conn, job_id, version),
    )


def _rejected(conn: Connection, job_id: str, version: int) -> dict[int, float]:
    """The quality of the best rejected take of each shot that has one. What is vetoed, or nobody scored, counts as 0."""
    best: dict[int, float] = {}
    for judged in results.judged(conn, job_id, version):
        if judged.verdict is Verdict.REJECTED:
            quality = 0.0 if judged.report.vetoed else judged.report.quality or 0.0
            best[judged.take.shot] = max(quality, best.get(judged.take.shot, 0.0))
    return best


def situation(conn: Connection, catalog: Catalog, order: JobOrder, *, now: datetime) -> Situation:
    """Return the caps and the health that choices for a job rest on now. Only looks."""
    envelope = order.envelope
    rules = limits.in_force(conn, catalog, envelope.job_id, now=now)
    # Backends without a day's budget of their own have the same caps.
    own = {name: name if rules.has_own_day(name, catalog) else "" for name in envelope.backends}
    spec, job_id = order.spec, envelope.job_id
    wanted = {
        of: rules.caps(spec=spec, job_id=job_id, envelope=envelope, backend=of, catalog=catalog, now=now)
        for of in set(own.values())
    }
    every = {(cap.kind, cap.key): cap for caps_ in wanted.values() for cap in caps_}
    return Situation(
        now=now,
        under_campaign=rules.campaign is not None,
        limits={name: wanted[of] for name, of in own.items()},
        left=caps.left(conn, list(every.values())),
        sick=health.sick(conn, catalog=catalog, now=now),
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
    catalog: Catalog,
    order: JobOrder,
    shot: int,
    found: Situation,
    *,
    chosen: Chosen | None = None,
    against: Mapping[tuple[int, str], str] | None = None,
) -> tuple[Decision, Sequence[Facts]]:
    """Return what would be chosen for a shot, and the facts it rests on.

    Health and budgets are as they were `found`, less what was `chosen` since.
    """
    spec, envelope = order.spec, order.envelope
    made, said = order.made(shot), against or {}
    known = [_facts_now(catalog, order, shot, made, name, found, chosen or Chosen()) for name in envelope.backends]
    known = [_unless_objected(f, said.get((shot, f.backend), "")) for f in known]
    used = sum(1 for p in made if _counts(p))
    if used >= envelope.attempts_per_shot:
        known = [f.model_copy(update={"barred": f"all {used} attempts of the approval are used"}) for f in known]
    may_degrade = catalog.presets[spec.preset].may_degrade
    floor, best = order.floor(catalog), order.best(shot)
    decision = route(shot, known, floor=floor, prefer=spec.prefer, may_degrade=may_degrade, at_cap=spec.at_cap, best=best)
    return decision, known


def _unless_objected(facts: Facts, why: str) -> Facts:
    return facts.model_copy(update={"request": None, "quote": None, "unfit": why}) if why and not facts.unfit else facts


def _counts(purchase: Purchase) -> bool:
    """Whether a purchase uses up one of the attempts that were approved: one that was or may be charged, or has a take."""
    return purchase.state in ("submitted", "submitting", "unknown", "succeeded") or bool(purchase.charged)


def _facts_now(
    catalog: Catalog, order: JobOrder, shot: int, made: Sequence[Purchase], name: str, found: Situation, chosen: Chosen
) -> Facts:
    here = [p for p in made if p.backend == name and p.state not in ("absent", "voided", "expired")]
    barred = next((f"{_BARRED[p.failure]} before" for p in here if p.failure and p.failure in _BARRED), "")
    if any(p.parked_at is not None and p.state in ("unknown", "submitted") for p in here):
        # Elsewhere the shot may be bought again; here it may be the same render, paid for a second time.
        barred = "may still be making this shot"
    limits_ = found.limits[name]
    return _facts(
        catalog,
        order.manifest,
        shot,
        name,
        headroom=caps.tightest(limits_, found.free(limits_, chosen)),
        now=found.now,
        sequence=len(made) + 1,
        tried=len(here),
        same_clip=any(p.state == "succeeded" for p in here) and order.manifest.shot(shot).seed is not None,
        barred=barred,
        healthy=found.healthy(name, chosen),
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
    same_clip: bool = False,
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
        same_clip=same_clip,
        barred=barred,
        healthy=healthy,
    )
