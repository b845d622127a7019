"""Purchases and their transitions T1 to T7 (states: `ledger.states`). Each function is meant to be one short transaction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from aiprod.budgets import Cap
from aiprod.catalog import Catalog
from aiprod.errors import BudgetExceeded, FailureKind, KeyReused, MoneyError, MoneyMoved, StaleState
from aiprod.ledger import caps, gates, health, holds, outbox, points
from aiprod.ledger.holds import Wanted
from aiprod.ledger.schema import OPEN, postings, purchases, resolutions, takes
from aiprod.ledger.states import CHARGED, STEPS, State, Step
from aiprod.models import USD, Decision, Envelope, JudgeRequest, Micros, Noun, RenderRequest, fingerprint

__all__ = [
    "Failure",
    "NewHold",
    "Purchase",
    "accept",
    "adjust",
    "claim",
    "close",
    "due",
    "get",
    "hold",
    "hold_all",
    "lose",
    "of_job",
    "park",
    "purchase_key",
    "release",
    "room",
    "running",
    "slots_taken",
    "unclaimed",
]

#: What a claim's lease lasts beyond the request's own timeout.
LEASE_MARGIN = timedelta(seconds=15)


class Failure(Noun):
    """Why a purchase did not become a take. `strike` is False where the vendor had no part in it."""

    kind: FailureKind
    message: str
    money_moved: MoneyMoved
    strike: bool = True
    #: How long the vendor takes no more requests, where it said so and it is worth waiting.
    come_again_after: timedelta | None = None


class Purchase(Noun):
    """One request that can cost money, as the ledger has it. Money in micro-dollars."""

    purchase_id: str
    job_id: str
    version: int
    kind: str
    subject: str
    sequence: int
    round: int
    backend: str
    model: str
    request: dict[str, Any]
    request_sha: str
    envelope: int
    hold: Micros
    charged: Micros | None
    cost_source: str | None
    state: State
    vendor_id: str | None
    fence: int
    lease_until: datetime | None
    slot_until: datetime | None
    expires_at: datetime | None
    parked_at: datetime | None
    retry_at: datetime | None
    account: str | None = None
    failure: FailureKind | None
    message: str | None
    created_at: datetime
    submitted_at: datetime | None
    closed_at: datetime | None
    updated_at: datetime

    @property
    def shot(self) -> int:
        return int(self.subject)

    @property
    def log_fields(self) -> dict[str, str | int]:
        """What log lines about it name (`logs.about`). Of a judgement, shot and attempt are those of its take, named before."""
        attempt = {"shot": self.shot, "attempt": self.sequence} if self.kind == "render" else {}
        return {"job_id": self.job_id, **attempt, "backend": self.backend, "purchase_id": self.purchase_id}

    @property
    def render_request(self) -> RenderRequest:
        return RenderRequest.model_validate(self.request)

    @property
    def judge_request(self) -> JudgeRequest:
        return JudgeRequest.model_validate(self.request)

    @property
    def live(self) -> bool:
        """Whether it still blocks another purchase of the same shot."""
        return self.state in OPEN and self.parked_at is None


#: What a purchase that was just held has in the columns that its hold does not name.
_NEW: dict[str, Any] = {**dict.fromkeys(Purchase.model_fields), "fence": 0}


def purchase_key(job_id: str, version: int, kind: str, subject: str, sequence: int) -> str:
    """Return the id of a purchase: the same in every process, on every retry. Also what a vendor is told."""
    return hashlib.sha256(f"{job_id}|{version}|{kind}|{subject}|{sequence}".encode()).hexdigest()[:32]


@dataclass(frozen=True)
class NewHold:
    """What a hold is for: a request, paid from an envelope, under caps. `amount` in micro-dollars.

    `decision` is the choice that led to it: recorded with the purchase, or not at all.
    """

    request: RenderRequest | JudgeRequest
    envelope: Envelope
    kind: str
    subject: str
    sequence: int
    round: int
    amount: Micros
    limits: Sequence[Cap]
    decision: Decision | None = None

    def wanted(self, *, catalog: Catalog, now: datetime) -> Wanted:
        """The rows that the ledger would have of it from `now`."""
        request, envelope = self.request, self.envelope
        # Younger than the first requests: one that does not use it stays the request it was.
        unused = {"seed_ordered"} if isinstance(request, RenderRequest) and not request.seed_ordered else None
        content = request.model_dump(mode="json", exclude=unused)
        row: dict[str, Any] = {
            "purchase_id": purchase_key(envelope.job_id, envelope.version, self.kind, self.subject, self.sequence),
            "job_id": envelope.job_id, "version": envelope.version, "kind": self.kind, "subject": self.subject,
            "sequence": self.sequence, "round": self.round, "backend": request.backend, "model": request.model,
            "request": json.dumps(content, sort_keys=True), "hold": self.amount, "state": "held",
            "request_sha": fingerprint([content, self.amount, envelope.sequence]), "envelope": envelope.sequence,
            "created_at": now, "updated_at": now,
            "expires_at": min(envelope.expires_at, now + timedelta(hours=catalog.budgets.hold_hours)),
        }  # fmt: skip
        return Wanted(row, self.limits, None if self.decision is None else self.decision.model_dump_json())


def hold(conn: Connection, new: NewHold, *, catalog: Catalog, now: datetime) -> Purchase:
    """T1: set money aside for one purchase under every cap that applies, or change nothing.

    Doing it again with the same content returns the same hold. Raises `BudgetExceeded`, `KeyReused`,
    `PurchasingStopped`, or `StaleState` when another purchase works on the subject, or another caller has the
    probe of an unhealthy backend.
    """
    return _alone(conn, new, new.wanted(catalog=catalog, now=now), catalog=catalog, now=now)


def hold_all(conn: Connection, news: Sequence[NewHold], *, catalog: Catalog, now: datetime) -> list[Purchase | MoneyError | None]:
    """T1 for several: return what `hold` would return or raise for each, done one after the other in their order.

    All that fit together are placed in one statement. Whoever is refused keeps nobody else from being placed, but for
    one that is short of money: nobody overtakes it, so those after it are not tried (None).
    """
    wanted = [new.wanted(catalog=catalog, now=now) for new in news]
    first = {one.purchase_id: n for n, one in reversed(list(enumerate(wanted)))}
    together = [n for n, new in enumerate(news) if new.envelope.expires_at > now and first[wanted[n].purchase_id] == n]
    placed = _tried(conn, [wanted[n] for n in together], now=now).placed if together else frozenset()
    results: list[Purchase | MoneyError | None] = []
    for n, new in enumerate(news):
        if n in together and wanted[n].purchase_id in placed:
            results.append(_purchase({**_NEW, **wanted[n].purchase}))
        elif any(isinstance(before, BudgetExceeded) for before in results):
            results.append(None)
        else:
            try:
                with conn.begin_nested():
                    results.append(_alone(conn, new, wanted[n], catalog=catalog, now=now, queued=True))
            except MoneyError as refusal:
                results.append(refusal)
    return results


def _alone(conn: Connection, new: NewHold, wanted: Wanted, *, catalog: Catalog, now: datetime, queued: bool = False) -> Purchase:
    taken = _tried(conn, [wanted], now=now, queued=queued) if new.envelope.expires_at > now else holds.NOTHING
    if not taken.placed:
        known = get(conn, wanted.purchase_id)
        if known is not None:
            if known.request_sha != wanted.purchase["request_sha"]:
                raise KeyReused(f"purchase {known.purchase_id} of {known.job_id} shot {known.subject} exists with other content")
            return known
        _refuse(conn, wanted, taken, envelope=new.envelope, now=now)
        # Last, so that a caller who was refused has not taken the probe from one who can use it.
        if not health.admit(conn, new.request.backend, catalog=catalog, now=now):
            raise StaleState(f"{new.request.backend} is unhealthy and somebody else is probing it")
        if not _tried(conn, [wanted], now=now, queued=True, probing=True).placed:
            raise StaleState(
                f"{new.envelope.job_id} {new.kind} of {new.subject}: the ledger moved on while the money was set aside"
            )
    return _purchase({**_NEW, **wanted.purchase})


def _tried(
    conn: Connection, wanted: Sequence[Wanted], *, now: datetime, queued: bool = False, probing: bool = False
) -> holds.Taken:
    """Try to place holds, opening and correcting their caps where they have to be; warn where that takes a cap's use far."""
    taken = holds.take(conn, wanted, queued=queued, probing=probing)
    if not taken.complete:
        caps.opened(conn, list({(cap.kind, cap.key): cap for one in wanted for cap in one.limits}.values()), now=now)
        taken = holds.take(conn, wanted, queued=queued, probing=probing)
    if taken.placed:
        caps.warn_if_crossed(conn, [leg.cap_id for leg in taken.legs if leg.crosses], now=now)
    for one in wanted:
        if one.purchase_id in taken.placed and one.purchase["sequence"] > 1:
            _count_fallback(conn, one.purchase, now=now)
    return taken


def _count_fallback(conn: Connection, row: Mapping[str, Any], *, now: datetime) -> None:
    """A shot that goes on at another backend than the one that was asked for it before."""
    before = purchase_key(row["job_id"], row["version"], row["kind"], row["subject"], row["sequence"] - 1)
    last = conn.execute(select(purchases.c.backend).where(purchases.c.purchase_id == before)).scalar()
    if last is not None and last != row["backend"]:
        points.emit(conn, "fallbacks", 1, now=now, backend=last, to=row["backend"])


def _refuse(conn: Connection, wanted: Wanted, taken: holds.Taken, *, envelope: Envelope, now: datetime) -> None:
    """Say why a hold was not placed, unless only the backend's health can be the reason. The caps are locked."""
    gates.require_open(conn, envelope, now=now)
    row = wanted.purchase
    if _live(conn, row["job_id"], row["version"], row["kind"], row["subject"]):
        raise StaleState(f"{row['job_id']} {row['kind']} of {row['subject']}: another purchase is working on it")
    names: dict[tuple[str, str], str] = {(cap.kind, cap.key): cap.name for cap in wanted.limits}
    short = [(names[leg.kind, leg.key], leg.free) for leg in taken.legs if not leg.fits]
    if short:
        raise BudgetExceeded(wanted.hold, short)


def claim(
    conn: Connection, purchase_id: str, *, envelope: Envelope, catalog: Catalog, now: datetime, account: str = ""
) -> int | None:
    """T2: commit the intent to send, and take a backend slot with it. Returns the fence of this claim.

    Returns None when the backend has no free slot. Raises `StaleState` when somebody else claimed it or the
    hold ran out, `PurchasingStopped` when the kill switch, a cancellation or the envelope says no.
    """
    name = _must_get(conn, purchase_id).backend
    entry = catalog.payee(name)
    health.lock_backend(conn, name)
    # What follows is read behind the lock: nothing said while we queued for it is missed.
    purchase = _must_get(conn, purchase_id)
    gates.require_open(conn, envelope, now=now)
    if purchase.state not in STEPS[Step.CLAIM][0]:
        raise StaleState(f"purchase {purchase_id} is {purchase.state}; somebody else has it")
    if slots_taken(conn, name, now) >= entry.slots:
        return None
    # Longer than the request may take, so that its owner is gone when the lease is.
    lease = now + timedelta(seconds=entry.submit_timeout_seconds) + LEASE_MARGIN
    claimed = conn.execute(
        update(purchases)
        .where(
            purchases.c.purchase_id == purchase_id,
            purchases.c.state.in_(STEPS[Step.CLAIM][0]),
            or_(purchases.c.expires_at.is_(None), purchases.c.expires_at > now),
        )
        .values(
            state=STEPS[Step.CLAIM][1],
            fence=purchases.c.fence + 1,
            lease_until=lease,
            slot_until=now + timedelta(seconds=entry.max_run_seconds),
            expires_at=None,
            account=account,
            submitted_at=now,
            updated_at=now,
        )
    )
    if claimed.rowcount != 1:
        raise StaleState(f"the hold of purchase {purchase_id} ran out; it has to be placed again")
    points.emit(conn, "backend_requests", 1, now=now, backend=name)
    return purchase.fence + 1


def accept(conn: Connection, purchase_id: str, vendor_id: str, *, now: datetime) -> bool:
    """T3: the vendor has it, whoever learned so: the answer, or looking. Repeating it changes nothing.

    Returns False, and emits an event, when the purchase already went another way: a second render is running
    and will be billed. Its cost is booked at once, at the hold; what was written off is booked already.
    Raises `StaleState` when the vendor's id is another purchase's.
    """
    allowed, leads_to = STEPS[Step.ACCEPT]
    known = _must_get(conn, purchase_id)
    # A parked one whose shot went on elsewhere stays parked: watched and paid for, but not in the way.
    parked_at = known.parked_at if _replaced(conn, known) else None
    flip = (
        update(purchases)
        .where(purchases.c.purchase_id == purchase_id, purchases.c.state.in_(allowed))
        .values(state=leads_to, vendor_id=vendor_id, lease_until=None, parked_at=parked_at, updated_at=now)
    )
    try:
        with conn.begin_nested():
            done = conn.execute(flip)
    except IntegrityError:
        raise StaleState(f"vendor job {vendor_id} belongs to another purchase than {purchase_id}") from None
    if done.rowcount == 1:
        return True
    purchase = _must_get(conn, purchase_id)
    if purchase.vendor_id == vendor_id:
        return True
    if purchase.state == "written_off" and _turned_up(conn, purchase_id, vendor_id, now=now):
        return False
    duplicate = f"{purchase_id}.duplicate.{vendor_id}"
    outbox.emit(conn, duplicate, "duplicate_vendor_job", now=now, purchase_id=purchase_id, vendor_id=vendor_id)
    adjust(conn, purchase_id, purchase.hold, reference=f"duplicate.{vendor_id}", now=now)
    return False


def _turned_up(conn: Connection, purchase_id: str, vendor_id: str, *, now: datetime) -> bool:
    """The render that a person wrote off is known after all: what was booked for it counts, and is filled up to the hold.

    Returns False when the purchase has a render already: then this one is another.
    """
    named = (
        update(purchases)
        .where(purchases.c.purchase_id == purchase_id, purchases.c.vendor_id.is_(None))
        .values(vendor_id=vendor_id, updated_at=now)
    )
    try:
        with conn.begin_nested():
            done = conn.execute(named)
    except IntegrityError:
        raise StaleState(f"vendor job {vendor_id} belongs to another purchase than {purchase_id}") from None
    if done.rowcount != 1:
        return False
    purchase = _must_get(conn, purchase_id)
    outbox.emit(conn, f"{purchase_id}.turned_up", "written_off_turned_up", now=now, purchase_id=purchase_id, vendor_id=vendor_id)
    missing = purchase.hold - (purchase.charged or 0)
    if missing > 0:
        adjust(conn, purchase_id, missing, reference=f"turned_up.{vendor_id}", now=now)
    return True


def lose(conn: Connection, purchase_id: str, *, catalog: Catalog, now: datetime, fence: int | None = None, why: str = "") -> bool:
    """T4: the answer was lost. With a `fence`, only for that claim; without, only once its lease has run out."""
    condition = purchases.c.fence == fence if fence is not None else purchases.c.lease_until < now
    allowed, leads_to = STEPS[Step.LOSE]
    done = conn.execute(
        update(purchases)
        .where(purchases.c.purchase_id == purchase_id, purchases.c.state.in_(allowed), condition)
        .values(state=leads_to, failure=FailureKind.TIMEOUT, message=why or "no answer", updated_at=now)
    )
    if done.rowcount == 1:
        purchase = _must_get(conn, purchase_id)
        health.observe(conn, purchase_id, purchase.backend, ok=False, catalog=catalog, now=now)
        points.emit(conn, "backend_errors", 1, now=now, backend=purchase.backend, code=FailureKind.TIMEOUT.value)
        outbox.emit(conn, f"{purchase_id}.unknown.{purchase.fence}", "purchase_unknown", now=now, purchase_id=purchase_id)
    return done.rowcount == 1


def park(conn: Connection, purchase_id: str, *, now: datetime) -> None:
    """Let a shot go on without what was lost, or is late: its hold stays and it stays watched, and the shot may be bought
    elsewhere with a hold of its own. What is lost, or has not ended in the vendor's longest run, waits for a person.
    """
    stuck = purchases.c.state.in_(("unknown", "submitted"))
    done = conn.execute(
        update(purchases)
        .where(purchases.c.purchase_id == purchase_id, stuck, purchases.c.parked_at.is_(None))
        .values(parked_at=now, updated_at=now)
    )
    known = _must_get(conn, purchase_id)
    late = known.state == "submitted" and known.slot_until is not None and known.slot_until > now
    if late and done.rowcount == 1:
        outbox.emit(conn, f"{purchase_id}.late", "purchase_late", now=now, purchase_id=purchase_id)
    elif not late and known.parked_at is not None and known.state in ("unknown", "submitted"):
        outbox.emit(conn, f"{purchase_id}.parked", "purchase_parked", now=now, purchase_id=purchase_id)


def close(
    conn: Connection,
    purchase_id: str,
    step: Step,
    *,
    catalog: Catalog,
    now: datetime,
    charge: Micros = 0,
    cost_source: str | None = None,
    failure: Failure | None = None,
    fence: int | None = None,
) -> bool:
    """T5: end a purchase: give the hold back, book the charge, count the health, all in one transaction.

    Never refuses a bill: a charge above the hold is booked as it is and reported. Returns False when the same
    end was reached before; raises `StaleState` when another one was.
    """
    allowed, leads_to = STEPS[step]
    if charge < 0 or (charge and step not in CHARGED):
        raise ValueError(f"{step} cannot charge {charge}")
    condition: ColumnElement[bool] = purchases.c.state.in_(allowed)
    if fence is not None:
        condition = and_(condition, purchases.c.fence == fence)
    done = conn.execute(
        update(purchases)
        .where(purchases.c.purchase_id == purchase_id, condition)
        .values(
            state=leads_to,
            # A second render may have been booked on it while it was open.
            charged=func.coalesce(purchases.c.charged, 0) + charge,
            cost_source=cost_source if step in CHARGED else "none",
            failure=failure.kind if failure else None,
            message=failure.message if failure else None,
            lease_until=None,
            slot_until=None,
            retry_at=now + failure.come_again_after if failure and failure.come_again_after else None,
            closed_at=now,
            updated_at=now,
        )
    )
    purchase = _must_get(conn, purchase_id)
    if done.rowcount != 1:
        if purchase.state == leads_to and _closed_at(conn, purchase_id) == charge:
            return False
        raise StaleState(f"purchase {purchase_id} is {purchase.state}; {step} does not apply")
    dedup = f"{purchase_id}.close"
    caps.move(conn, purchase_id, "close", d_reserved=-purchase.hold, d_settled=charge, dedup=dedup, now=now)
    if charge > purchase.hold:
        over = {"purchase_id": purchase_id, "hold_micros": purchase.hold, "charged_micros": charge}
        outbox.emit(conn, f"{purchase_id}.overbilled", "vendor_overbilled", now=now, **over)
    _count(conn, purchase, step, charge, failure, catalog=catalog, now=now)
    return True


def _count(
    conn: Connection, purchase: Purchase, step: Step, charge: Micros, failure: Failure | None, *, catalog: Catalog, now: datetime
) -> None:
    """Health and metrics of a purchase that just ended."""
    if step is Step.SUCCEED:
        health.observe(conn, purchase.purchase_id, purchase.backend, ok=True, catalog=catalog, now=now)
        took = (now - (purchase.submitted_at or now)).total_seconds()
        if purchase.kind == "render":
            points.emit(conn, "render_time", took, now=now, backend=purchase.backend, model=purchase.model)
    elif failure is not None and step in (Step.FAIL, Step.REJECT):
        if failure.strike and failure.kind not in health.NO_STRIKE:
            health.observe(conn, purchase.purchase_id, purchase.backend, ok=False, catalog=catalog, now=now)
            points.emit(conn, "backend_errors", 1, now=now, backend=purchase.backend, code=failure.kind.value)
        points.emit(conn, "errors", 1, now=now, stage=purchase.kind, code=failure.kind.value)
    if charge:
        points.emit(conn, "cost", charge / USD, now=now, backend=purchase.backend)


def adjust(conn: Connection, purchase_id: str, delta: Micros, *, reference: str, now: datetime) -> bool:
    """T6: the vendor corrected the bill (refund < 0). Books on the original legs, once per reference.

    Raises `MoneyError` for a refund of more than was charged.
    """
    dedup = f"{purchase_id}.adjust.{reference}"
    # The purchase before its caps, as `close` does: two that wait for each other would both die.
    locked = select(purchases.c.charged, purchases.c.backend).where(purchases.c.purchase_id == purchase_id).with_for_update()
    known = conn.execute(locked).first()
    left = ((known.charged if known else 0) or 0) + delta
    if left < 0 and conn.execute(select(postings.c.kind).where(postings.c.dedup == dedup)).first() is None:
        raise MoneyError(f"purchase {purchase_id}: a refund of {-delta} micro-dollars is {-left} more than was charged")
    if not caps.move(conn, purchase_id, "adjust", d_reserved=0, d_settled=delta, dedup=dedup, now=now):
        return False
    charged = func.coalesce(purchases.c.charged, 0) + delta
    conn.execute(update(purchases).where(purchases.c.purchase_id == purchase_id).values(charged=charged, updated_at=now))
    outbox.emit(conn, dedup, "charge_adjusted", now=now, purchase_id=purchase_id, delta_micros=delta)
    if delta and known is not None:
        points.emit(conn, "cost" if delta > 0 else "refunds", abs(delta) / USD, now=now, backend=known.backend)
    return True


def release(conn: Connection, purchase_id: str, step: Step, *, catalog: Catalog, now: datetime) -> bool:
    """T7: give back a hold that was never sent: `expire` once it ran out, `void` when it is not wanted any more."""
    if step is Step.EXPIRE:
        purchase = _must_get(conn, purchase_id)
        if purchase.expires_at is None or purchase.expires_at > now:
            return False
    try:
        return close(conn, purchase_id, step, catalog=catalog, now=now)
    except StaleState:
        # It was claimed, or closed, between the caller's look and this transaction: then it is not ours to release.
        return False


def running(conn: Connection, backend: str, vendor_ids: Sequence[str]) -> list[Purchase]:
    """Return what a vendor is known to work on, of its own ids, oldest first."""
    wanted = purchases.c.vendor_id.in_(vendor_ids)
    there = select(purchases).where(purchases.c.backend == backend, purchases.c.state == "submitted", wanted)
    return [_purchase(row) for row in conn.execute(there.order_by(purchases.c.created_at)).mappings()]


def unclaimed(conn: Connection, backend: str, vendor_ids: Sequence[str]) -> list[str]:
    """Return those of a vendor's renders that no purchase has, in their order."""
    claimed = select(purchases.c.vendor_id).where(purchases.c.backend == backend, purchases.c.vendor_id.in_(vendor_ids))
    taken = set(conn.execute(claimed).scalars())
    return [vendor_id for vendor_id in vendor_ids if vendor_id not in taken]


def get(conn: Connection, purchase_id: str) -> Purchase | None:
    """Return one purchase."""
    row = conn.execute(select(purchases).where(purchases.c.purchase_id == purchase_id)).mappings().first()
    return None if row is None else _purchase(row)


def of_job(conn: Connection, job_id: str, version: int, *, kind: str | None = "render") -> list[Purchase]:
    """Return a job version's purchases of one kind, oldest first within each shot; kind None: renders, then judgements."""
    statement = select(purchases).where(purchases.c.job_id == job_id, purchases.c.version == version)
    if kind is not None:
        statement = statement.where(purchases.c.kind == kind)
    statement = statement.order_by(purchases.c.kind.desc(), purchases.c.subject, purchases.c.sequence)
    return [_purchase(row) for row in conn.execute(statement).mappings()]


def due(conn: Connection, *, now: datetime) -> list[Purchase]:
    """Return what nobody may be watching: expired holds, leases that ran out, unknowns not parked,
    the submitted, and what is paid but not brought home. What the vendor may delete soon comes first."""
    given_up = select(resolutions.c.purchase_id).where(resolutions.c.answer == "file_gone")
    not_home = purchases.c.purchase_id.not_in(select(takes.c.take_id)) & purchases.c.purchase_id.not_in(given_up)
    statement = select(purchases).where(
        or_(
            and_(purchases.c.state == "held", purchases.c.expires_at <= now),
            and_(purchases.c.state == "submitting", purchases.c.lease_until < now),
            and_(purchases.c.state == "unknown", purchases.c.parked_at.is_(None)),
            purchases.c.state == "submitted",
            and_(purchases.c.state == "succeeded", purchases.c.kind == "render", not_home),
        )
    )
    paid_first = case((purchases.c.state == "succeeded", 0), else_=1)
    return [_purchase(row) for row in conn.execute(statement.order_by(paid_first, purchases.c.created_at)).mappings()]


def room(conn: Connection, backend: str, *, slots: int, now: datetime) -> int:
    """How many holds a batch may still place at a backend: twice its free slots, less what is held there already.

    More would only set money aside that cannot be sent for a long while, and stand in the way of an urgent job.
    """
    held = select(func.count()).where(purchases.c.backend == backend, purchases.c.state == "held")
    return 2 * max(0, slots - slots_taken(conn, backend, now)) - int(conn.execute(held).scalar_one())


def slots_taken(conn: Connection, backend: str, now: datetime) -> int:
    """Return how many renders a backend works on for us, or may."""
    busy = or_(
        and_(purchases.c.state.in_(("submitting", "submitted")), purchases.c.parked_at.is_(None)),
        # What is lost or late may be running: it counts until the vendor's longest run is over, then only its money is held.
        and_(purchases.c.state.in_(("unknown", "submitted")), purchases.c.slot_until > now),
    )
    return int(conn.execute(select(func.count()).where(purchases.c.backend == backend, busy)).scalar_one())


def _live(conn: Connection, job_id: str, version: int, kind: str, subject: str) -> list[Purchase]:
    return [p for p in of_job(conn, job_id, version, kind=kind) if p.subject == subject and p.live]


def _replaced(conn: Connection, purchase: Purchase) -> bool:
    """Whether another purchase took over what this parked one was for."""
    parked = purchase.parked_at is not None
    return parked and bool(_live(conn, purchase.job_id, purchase.version, purchase.kind, purchase.subject))


def _closed_at(conn: Connection, purchase_id: str) -> Micros | None:
    """What a purchase was charged when it closed; later corrections are postings of their own."""
    return conn.execute(select(postings.c.d_settled).where(postings.c.dedup == f"{purchase_id}.close")).scalar()


def _must_get(conn: Connection, purchase_id: str) -> Purchase:
    purchase = get(conn, purchase_id)
    if purchase is None:
        raise StaleState(f"purchase {purchase_id} is not in this ledger")
    return purchase


def _purchase(row: Any) -> Purchase:
    return Purchase.model_validate({**row, "request": json.loads(row["request"])})
