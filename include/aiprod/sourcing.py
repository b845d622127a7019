"""Who makes which shot: gathers what the ledger knows, lets `routing` choose, and places the hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from aiprod.budgets import Cap
from aiprod.catalog import Catalog
from aiprod.choosing import ShotOrder, decided, objections, ordered, purchases_of_shot
from aiprod.errors import BudgetExceeded, JobFailed, KeyReused, StaleState
from aiprod.ledger import Connection, Ledger, caps, jobs, limits, parked, points, purchases, results
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.purchases import Purchase
from aiprod.models import Decision, Noun, Verdict
from aiprod.purchasing import envelope_of, place_hold, unfinished
from aiprod.routing import Facts, fits_but_for_money

__all__ = ["Routed", "Wait", "route_job", "shots_without_take", "worked_on"]

#: How often a choice is made again because somebody else took the last dollar or the probe in between.
_ROUNDS = 5

#: What backends themselves say against shots.
_Against = Mapping[tuple[int, str], str]

#: How soon a campaign whose own money is used up is looked at again: somebody may have given it more.
_CAMPAIGN_PAUSE = timedelta(hours=1)


class Wait(Noun):
    """Why a shot is placed later rather than now, and when to try again."""

    reason: Literal["slots", "money"]
    message: str
    due_at: datetime


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


def route_job(ledger: Ledger, catalog: Catalog, job_id: str, version: int, round: int, *, batch: bool = False) -> Routed:
    """Give every shot that needs one a backend and a hold; record each decision.

    A shot with a live purchase, or a paid take not brought home, keeps it. In a batch a shot waits while its backend
    has twice as many holds as free slots; a job that chose so waits for the next day's money. Raises `PurchasingStopped` when
    nobody approved the job, or approval or job were withdrawn.
    """
    with ledger.read() as conn:
        envelope = envelope_of(conn, job_id, version)
        missing = shots_without_take(conn, job_id, version)
        manifest = jobs.priced(conn, job_id, version).manifest
    against = objections(catalog, manifest, missing, envelope.backends)
    work: list[str] = []
    waits: list[Wait] = []
    refused: list[str] = []
    for shot in missing:
        choice = _choose(ledger, catalog, job_id, version, shot, round, batch=batch, against=against)
        if isinstance(choice, Purchase):
            work.append(choice.backend)
        elif isinstance(choice, Wait):
            waits.append(choice)
        elif choice is not None:
            refused.append(str(choice))
    return Routed(backends=tuple(dict.fromkeys(work)), waits=tuple(waits), refused=tuple(refused))


def worked_on(ledger: Ledger, job_id: str, version: int, round: int) -> bool:
    """Whether a round of the run bought anything for a job, or took care of what was bought before."""
    with ledger.read() as conn:
        return any(p.round == round or unfinished(conn, p) for p in purchases.of_job(conn, job_id, version))


def _underway(conn: Connection, job_id: str, version: int, shot: int) -> Purchase | None:
    """The purchase that already works on a shot: live, or paid and its file not home or not rejected.

    On Postgres a take may be accepted between the look for missing shots and this one: it is done, not gone.
    """
    rejected = {j.take.take_id for j in results.judged(conn, job_id, version) if j.verdict is Verdict.REJECTED}
    for purchase in reversed(purchases_of_shot(conn, job_id, version, shot)):
        paid = purchase.state == "succeeded" and purchase.purchase_id not in rejected
        if purchase.live or (paid and not parked.given_up(conn, purchase.purchase_id)):
            return purchase
    return None


def _choose(
    ledger: Ledger, catalog: Catalog, job_id: str, version: int, shot: int, round: int, *, batch: bool, against: _Against
) -> Purchase | Decision | Wait | None:
    """Decide and hold in one transaction; decide again when the ledger moved in between.

    Returns the purchase that works on the shot, why it waits, the decision that found nobody for it, or None when
    the shot has its take by now.
    """
    for _ in range(_ROUNDS):
        try:
            return ledger.transact(
                lambda conn: _choose_once(conn, catalog, job_id, version, shot, round, batch=batch, against=against)
            )
        except (BudgetExceeded, KeyReused, StaleState):
            continue
    raise JobFailed(f"{job_id} shot {shot}: money or health changed {_ROUNDS} times while choosing; clear `route` to try again")


def _choose_once(
    conn: Connection, catalog: Catalog, job_id: str, version: int, shot: int, round: int, *, batch: bool, against: _Against
) -> Purchase | Decision | Wait | None:
    # Before looking: a purchase that comes in between takes this number, and ours collides with it.
    sequence = len(purchases_of_shot(conn, job_id, version, shot)) + 1
    # Looked at in here: another process may be routing this job, or be done with it.
    if shot not in shots_without_take(conn, job_id, version):
        return None
    underway = _underway(conn, job_id, version, shot)
    if underway is not None:
        return underway
    now = database_now(conn)
    order = ordered(conn, job_id, version, shot)
    decision, known = decided(conn, catalog, order, now=now, against=against)
    if decision.chosen is None:
        jobs.decide(conn, job_id, version, round, decision, None, now=now)
        _count_refusal(conn, catalog, order, decision, known, now=now)
        return _wait_for_money(conn, catalog, order, decision, known, now=now) or decision
    slots = catalog.backends[decision.chosen].slots
    if batch and purchases.room(conn, decision.chosen, slots=slots, now=now) < 1:
        return Wait(reason="slots", message=f"{decision.chosen} has no room for more holds", due_at=now)
    # Written before its hold, which locks what everybody waits for; a hold that fails takes it back.
    key = purchases.purchase_key(job_id, version, "render", str(shot), sequence)
    jobs.decide(conn, job_id, version, round, decision, key, now=now)
    return place_hold(
        conn,
        catalog,
        job_id=job_id,
        version=version,
        shot=shot,
        backend=decision.chosen,
        sequence=sequence,
        round=round,
        now=now,
    )


def _wait_for_money(
    conn: Connection, catalog: Catalog, order: ShotOrder, decision: Decision, known: Sequence[Facts], *, now: datetime
) -> Wait | None:
    """Until when a shot that only money keeps back waits; None when the job would rather fail, or waiting cannot help."""
    rules = limits.in_force(conn, catalog, order.envelope.job_id, now=now)
    if not decision.short_of_money or (order.spec.at_cap != "wait" and rules.campaign is None):
        return None
    moments = []
    for short in _short(conn, catalog, order, known, now=now):
        ends = [now + _CAMPAIGN_PAUSE if cap.kind == "campaign" else cap.ends_at for cap in short]
        moments += [max(end for end in ends if end is not None)] if ends and None not in ends else []
    if not moments:
        return None
    return Wait(reason="money", message=str(decision), due_at=min(moments))


def _short(conn: Connection, catalog: Catalog, order: ShotOrder, known: Sequence[Facts], *, now: datetime) -> list[list[Cap]]:
    """For every backend that only money keeps from the shot: the caps that are short."""
    rules = limits.in_force(conn, catalog, order.envelope.job_id, now=now)
    found = []
    for facts in known:
        if fits_but_for_money(facts, order.floor(catalog)):
            wanted = order.caps(rules, facts.backend, catalog, now=now)
            found.append([cap for cap in wanted if caps.headroom(conn, [cap])[0] < (facts.quote or 0)])
    return found


def _count_refusal(
    conn: Connection, catalog: Catalog, order: ShotOrder, decision: Decision, known: Sequence[Facts], *, now: datetime
) -> None:
    """A shot that somebody could make if there were money, by the kinds of caps that were short."""
    if decision.short_of_money:
        kinds = {cap.kind for short in _short(conn, catalog, order, known, now=now) for cap in short}
        for kind in sorted(kinds):
            points.emit(conn, "money_refusals", 1, now=now, cap=kind)
