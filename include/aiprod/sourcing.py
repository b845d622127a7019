"""Who makes which shot: gathers what the ledger knows, lets `routing` choose, and places the holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from aiprod import waiting
from aiprod.catalog import Catalog
from aiprod.choosing import Chosen, JobOrder, Situation, decided, objections, ordered, situation
from aiprod.errors import AiprodError, BudgetExceeded, JobFailed, KeyReused, MoneyError, StaleState
from aiprod.ledger import Connection, Ledger, jobs, parked, points, purchases, results
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.purchases import NewHold, Purchase
from aiprod.models import Decision, Manifest, Noun, Verdict
from aiprod.purchasing import envelope_of, new_hold, unfinished
from aiprod.reusing import adopt
from aiprod.waiting import Wait

__all__ = ["Routed", "route_jobs", "shots_without_take", "worked_on"]

#: How often a choice is made again because somebody else took the last dollar or the probe in between.
_ROUNDS = 5
#: How many shots are placed in one transaction: those of a job, or of a batch. Its commit keeps everybody else waiting.
_TOGETHER = 50


class Routed(Noun):
    """What came of routing one job: backends that have work, shots that wait, and why others could not be placed."""

    backends: tuple[str, ...] = ()
    waits: tuple[Wait, ...] = ()
    refused: tuple[str, ...] = ()


def shots_without_take(conn: Connection, job_id: str, version: int) -> list[int]:
    """Return the shots that still need a take: none that was accepted or waits for a person's word."""
    good = {j.take.shot for j in results.judged(conn, job_id, version) if j.verdict is not Verdict.REJECTED}
    manifest = jobs.priced(conn, job_id, version).manifest
    return [shot.index for shot in manifest.shots if shot.index not in good]


class _Shot(NamedTuple):
    job_id: str
    version: int
    shot: int


#: What backends themselves say against shots.
_Against = Mapping[_Shot, Mapping[tuple[int, str], str]]


@dataclass
class _Found:
    """What came of shots: the purchase that works on one, why it waits, the decision that found nobody for it, or None
    when it has its take by now. A job that failed has no more to be found.
    """

    of: dict[_Shot, Purchase | Decision | Wait | None] = field(default_factory=dict)
    #: Decisions that found nobody, to be recorded.
    against: dict[_Shot, Decision] = field(default_factory=dict)
    failed: dict[str, AiprodError] = field(default_factory=dict)

    def open(self, shots: Iterable[_Shot]) -> list[_Shot]:
        """Those of which nothing is known yet."""
        return [one for one in shots if one not in self.of and one.job_id not in self.failed]

    def held(self, news: Mapping[_Shot, NewHold], placed: Sequence[Purchase | MoneyError | None], shots: Sequence[_Shot]) -> None:
        """Take in what came of holds. Who lost a race is open, and so is who found nobody, or no room, after one that was not
        held: what that one leaves may be enough.
        """
        not_held: list[_Shot] = []
        for one, what in zip(news, placed, strict=True):
            if isinstance(what, Purchase):
                self.of[one] = what
                continue
            not_held.append(one)
            if what is not None and not isinstance(what, (BudgetExceeded, KeyReused, StaleState)):
                self.failed.setdefault(one.job_id, what)
        for one in shots[shots.index(not_held[0]) :] if not_held else ():
            if isinstance(self.of.get(one), (Decision, Wait)):
                del self.of[one]
                self.against.pop(one, None)

    def routed(self, job_id: str) -> Routed:
        mine = [self.of[one] for one in sorted(self.of) if one.job_id == job_id]
        return Routed(
            backends=tuple(dict.fromkeys(what.backend for what in mine if isinstance(what, Purchase))),
            waits=tuple(what for what in mine if isinstance(what, Wait)),
            refused=tuple(str(what) for what in mine if isinstance(what, Decision)),
        )


def route_jobs(
    ledger: Ledger, catalog: Catalog, versions: Mapping[str, int], round: int, *, batch: bool = False
) -> dict[str, Routed | AiprodError]:
    """Give every shot that needs one a backend and a hold; record each decision. Return what came of each job, or its error.

    As if one job after the other, in their order. A shot with a live purchase, or a paid take not brought home, keeps it.
    In a batch a shot waits while its backend has twice as many holds as free slots; a job that chose so waits for the next
    day's money. `PurchasingStopped` comes of a job that nobody approved, or whose approval was withdrawn.

    The holds are placed together, in one transaction for many. Who loses a race for one is decided again, and nobody
    overtakes it to the money.
    """
    found = _Found()
    missing: list[_Shot] = []
    against: dict[_Shot, Mapping[tuple[int, str], str]] = {}
    for job_id, version in versions.items():
        try:
            shots, said = _missing(ledger, catalog, job_id, version)
        except AiprodError as error:
            found.failed[job_id] = error
            continue
        missing += shots
        against |= dict.fromkeys(shots, said)
    for start in range(0, len(missing), _TOGETHER):
        some = missing[start : start + _TOGETHER]
        for _ in range(_ROUNDS):
            if left := found.open(some):
                once = partial(_route_once, catalog=catalog, shots=left, round=round, batch=batch, against=against)
                new = ledger.transact(once)
                found.of |= new.of
                found.failed |= new.failed
        for one in found.open(some):
            told = f"money or health changed {_ROUNDS} times while choosing; clear `route` to try again"
            found.failed[one.job_id] = JobFailed(f"{one.job_id} shot {one.shot}: {told}")
    return {job_id: found.failed.get(job_id) or found.routed(job_id) for job_id in versions}


def _missing(ledger: Ledger, catalog: Catalog, job_id: str, version: int) -> tuple[list[_Shot], Mapping[tuple[int, str], str]]:
    """The shots of a job that need a take, and what backends say against them. Asks vendors."""
    with ledger.read() as conn:
        envelope = envelope_of(conn, job_id, version)
        missing = shots_without_take(conn, job_id, version)
        manifest = jobs.priced(conn, job_id, version).manifest
    if any(manifest.shot(shot).seed is not None for shot in missing):
        adopted = adopt(ledger, job_id, version)
        missing = [shot for shot in missing if shot not in adopted]
    return [_Shot(job_id, version, shot) for shot in missing], objections(catalog, manifest, missing, envelope.backends)


def worked_on(ledger: Ledger, job_id: str, version: int, round: int) -> bool:
    """Whether a round of the run bought anything for a job, or took care of what was bought before."""
    with ledger.read() as conn:
        return any(p.round == round or unfinished(conn, p) for p in purchases.of_job(conn, job_id, version))


def _underway(conn: Connection, job_id: str, version: int) -> dict[int, Purchase]:
    """The purchase that already works on a shot, by shot: live, or paid and its file not home or not rejected.

    On Postgres a take may be accepted between the look for missing shots and this one: it is done, not gone.
    """
    rejected = {j.take.take_id for j in results.judged(conn, job_id, version) if j.verdict is Verdict.REJECTED}
    working = {}
    for purchase in purchases.of_job(conn, job_id, version):
        paid = purchase.state == "succeeded" and purchase.purchase_id not in rejected
        if purchase.live or (paid and not parked.given_up(conn, purchase.purchase_id)):
            working[purchase.shot] = purchase
    return working


def _with_twins(underway: Mapping[int, Purchase], manifest: Manifest) -> dict[int, Purchase]:
    """What works on a shot works on every shot that is to be the very same clip: it is bought once."""
    twins = {other: purchase for shot, purchase in underway.items() for other in manifest.twins(shot)}
    return {**twins, **underway}


class _Job(NamedTuple):
    """A job as its shots are decided on, and how many purchases each shot had before anybody looked."""

    order: JobOrder
    bought: Mapping[int, int]
    found: Situation


def _route_once(
    conn: Connection, catalog: Catalog, shots: Sequence[_Shot], round: int, *, batch: bool, against: _Against
) -> _Found:
    """Decide on shots in their order, and hold for them, in one transaction. What lost a race is left open."""
    found = _Found()
    known = _looked_at(conn, catalog, shots, found)
    chosen = Chosen()
    rooms: dict[str, int] = {}
    news: dict[_Shot, NewHold] = {}
    short: dict[_Shot, set[str]] = {}
    for one in found.open(shots):
        job = known[one.job_id]
        now = job.found.now
        if any(one._replace(shot=twin) in news for twin in job.order.manifest.twins(one.shot)):
            # The very same clip is chosen in this breath: left open, so that the next look finds it on its way.
            continue
        decision, facts = decided(catalog, job.order, one.shot, job.found, chosen=chosen, against=against[one])
        if (name := decision.chosen) is None:
            found.of[one] = waiting.for_money(catalog, job.order, job.found, decision, facts, chosen) or decision
            found.against[one] = decision
            if decision.short_of_money:
                short[one] = {
                    cap.kind for caps in waiting.short_caps(catalog, job.order, job.found, facts, chosen) for cap in caps
                }
            continue
        if batch and name not in rooms:
            rooms[name] = purchases.room(conn, name, slots=catalog.backends[name].slots, now=now)
        if batch and rooms[name] <= chosen.holds[name]:
            found.of[one] = Wait(reason="slots", message=f"{name} has no room for more holds", due_at=now)
            continue
        news[one] = _new(catalog, job, one, decision, round)
        chosen.add(news[one])
    if known:
        now = next(iter(known.values())).found.now
        found.held(news, purchases.hold_all(conn, list(news.values()), catalog=catalog, now=now), shots)
        told = [(one.job_id, one.version, decision) for one, decision in found.against.items() if one.job_id not in found.failed]
        jobs.decide_against(conn, told, round, now=now)
        # A shot that somebody could make if there were money, by the kinds of caps that were short.
        for kind in [kind for one in found.against for kind in sorted(short.get(one, ()))]:
            points.emit(conn, "money_refusals", 1, now=now, cap=kind)
    return found


def _looked_at(conn: Connection, catalog: Catalog, shots: Sequence[_Shot], found: _Found) -> dict[str, _Job]:
    """Read what the jobs of some shots are decided on; what needs no decision any more is `found`."""
    seen: dict[str, tuple[JobOrder, Mapping[int, int]]] = {}
    for job_id, version in dict.fromkeys((one.job_id, one.version) for one in shots):
        mine = [one for one in shots if one.job_id == job_id]
        try:
            # Before looking: a purchase that comes in between takes this number, and ours collides with it.
            bought = Counter(p.shot for p in purchases.of_job(conn, job_id, version))
            # Looked at in here: another process may be routing this job, or be done with it.
            missing = shots_without_take(conn, job_id, version)
            order = ordered(conn, job_id, version)
            underway = _with_twins(_underway(conn, job_id, version), order.manifest)
            found.of |= {one: None for one in mine if one.shot not in missing}
            found.of |= {one: underway[one.shot] for one in mine if one.shot in missing and one.shot in underway}
            seen[job_id] = order, bought
        except AiprodError as error:
            found.failed[job_id] = error
    now = database_now(conn)
    return {
        job_id: _Job(order, bought, situation(conn, catalog, order, now=now))
        for job_id, (order, bought) in seen.items()
        if any(one.job_id == job_id for one in found.open(shots))
    }


def _new(catalog: Catalog, job: _Job, one: _Shot, decision: Decision, round: int) -> NewHold:
    name = decision.chosen or ""
    return new_hold(
        catalog,
        job.order.envelope,
        job.order.manifest,
        job.found.limits[name],
        shot=one.shot,
        backend=name,
        sequence=job.bought[one.shot] + 1,
        round=round,
        now=job.found.now,
        decision=decision,
    )
