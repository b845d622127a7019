"""The one door through which money leaves: hold, intent, request, outcome, take. Renders and judgements alike.

The intent is committed before the request leaves. A lost answer is `unknown`: its hold stays, the backend is
asked to look for it, and only proof that nothing runs lets the same shot be bought there again.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic

from aiprod import logs, settings
from aiprod.backends import Backend, backend
from aiprod.backends.judges import Judge
from aiprod.budgets import Cap
from aiprod.catalog import Catalog
from aiprod.errors import (
    BackendError,
    FailureKind,
    MoneyError,
    MoneyMoved,
    PurchasingStopped,
    StaleState,
    StorageError,
    SubmitAmbiguous,
    SubmitRejected,
)
from aiprod.ledger import Connection, Ledger, approvals, jobs, limits, outbox, parked, purchases, results, sightings
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.purchases import Failure, NewHold, Purchase
from aiprod.ledger.states import Step
from aiprod.models import (
    Accepted,
    Answered,
    CancelOutcome,
    Decision,
    Envelope,
    Found,
    JobState,
    JudgeRequest,
    Manifest,
    Noun,
    Take,
    Verdict,
    dollars,
)
from aiprod.pricing import NotCapable, charged, judgement_cost, judgement_quote, legal_request, quote
from aiprod.storage import Storage

__all__ = [
    "Progress",
    "Waiting",
    "answer_file",
    "ask_judge",
    "cancel",
    "drive",
    "envelope_of",
    "new_hold",
    "place_hold",
    "place_judgement",
    "render",
    "settle_judgement",
    "unfinished",
]

log = logging.getLogger(__name__)

#: How often one shot is asked for again at a backend that took the request before for certain not: it proved so, or it
#: had no room and said when to come again.
MAX_AGAIN = 2
#: A vendor that wants longer is left for another one.
MAX_WAIT = timedelta(minutes=2)
#: How long after the vendor's longest run a lost request is still looked for: by its own clock that run may just be over.
LAST_LOOK = timedelta(minutes=5)
#: A claim older than this when the request is about to leave is given up: its lease may have been taken over.
MAX_CLAIM_AGE = timedelta(seconds=10)

_STEP_OF = {"succeeded": Step.SUCCEED, "failed": Step.FAIL, "cancelled": Step.CANCEL}


class Waiting(Noun):
    """A render that runs at the vendor: what a trigger needs to ask for it."""

    purchase_id: str
    vendor_id: str


class Progress(Noun):
    """How far the shots routed to one backend are.

    `waiting` run at the vendor; `look_again_at` is when something else can have changed (a lease, a slot, a
    lost request, a render that is late by then); `failed` says in one line each what failed or is parked.
    """

    waiting: tuple[Waiting, ...] = ()
    look_again_at: datetime | None = None
    failed: tuple[str, ...] = ()
    done: int = 0

    @property
    def finished(self) -> bool:
        return not self.waiting and self.look_again_at is None


def envelope_of(conn: Connection, job_id: str, version: int) -> Envelope:
    """Return the envelope in force. Raises `PurchasingStopped` when nobody approved this version."""
    envelope = approvals.envelope(conn, job_id, version)
    if envelope is None:
        raise PurchasingStopped(f"job {job_id} version {version} has no approval")
    return envelope


def place_hold(
    conn: Connection,
    catalog: Catalog,
    *,
    job_id: str,
    version: int,
    shot: int,
    backend: str,
    sequence: int,
    round: int,
    now: datetime,
) -> Purchase:
    """Quote one shot at one backend and set the money aside (T1), inside the caller's transaction.

    Raises `NotCapable`, `BudgetExceeded`, `PurchasingStopped`, `KeyReused`, `StaleState`.
    """
    envelope = envelope_of(conn, job_id, version)
    rules = limits.in_force(conn, catalog, job_id, now=now)
    spec = jobs.spec(conn, job_id)
    new = new_hold(
        catalog,
        envelope,
        jobs.priced(conn, job_id, version).manifest,
        rules.caps(spec=spec, job_id=job_id, envelope=envelope, backend=backend, catalog=catalog, now=now),
        shot=shot,
        backend=backend,
        sequence=sequence,
        round=round,
        now=now,
    )
    return purchases.hold(conn, new, catalog=catalog, now=now)


def new_hold(
    catalog: Catalog,
    envelope: Envelope,
    manifest: Manifest,
    limits: Sequence[Cap],
    *,
    shot: int,
    backend: str,
    sequence: int,
    round: int,
    now: datetime,
    decision: Decision | None = None,
) -> NewHold:
    """Quote one shot at one backend: return what has to be set aside for it, under caps in force.

    Raises `NotCapable`, and `PurchasingStopped` when the approval does not cover the backend.
    """
    if backend not in envelope.backends:
        raise PurchasingStopped(f"the approval of job {envelope.job_id} does not cover {backend}")
    request = legal_request(backend, catalog.backends[backend], manifest, manifest.shot(shot), sequence=sequence)
    return NewHold(
        request=request,
        envelope=envelope,
        kind="render",
        subject=str(shot),
        sequence=sequence,
        round=round,
        amount=quote(catalog.prices, request, now.date()),
        limits=limits,
        decision=decision,
    )


def render(ledger: Ledger, catalog: Catalog, storage: Storage, versions: Mapping[str, int], name: str, round: int) -> Progress:
    """Push every shot routed to one backend as far as it goes now: send what is held, look after the rest.

    Safe to call any number of times, by any number of processes: the ledger decides what is left to do.
    """
    with ledger.read() as conn:
        routed = [p for job_id, version in versions.items() for p in _routed(conn, job_id, version, name, round)]
    if not routed:
        return Progress()
    adapter = backend(catalog, name)
    driven: list[Purchase] = []
    stopped: list[str] = []
    troubles: list[Exception] = []
    for purchase in routed:
        try:
            driven.append(drive(ledger, catalog, storage, adapter, purchase.purchase_id))
        except PurchasingStopped as error:
            stopped.append(f"{purchase.job_id} shot {purchase.subject} at {name}: {error}")
        except Exception as error:  # noqa: BLE001 - kept, and raised below
            # One shot's trouble must not keep the others, paid as they are, from being looked after.
            troubles.append(error)
    if troubles:
        others = [error for error in troubles if not isinstance(error, StorageError)]
        raise others[0] if others else StorageError("\n".join(str(error) for error in troubles))
    progress = _progress(ledger, catalog, driven)
    return progress.model_copy(update={"failed": (*progress.failed, *stopped)})


def _routed(conn: Connection, job_id: str, version: int, name: str, round: int) -> list[Purchase]:
    """The newest purchase of every shot that this round, or an unfinished one before it, sent to the backend."""
    newest: dict[str, Purchase] = {}
    for purchase in purchases.of_job(conn, job_id, version):
        if purchase.round == round or unfinished(conn, purchase):
            newest[purchase.subject] = purchase
    return [p for p in newest.values() if p.backend == name]


def unfinished(conn: Connection, purchase: Purchase) -> bool:
    """Whether a purchase is still worked on: live, or paid and its file not home, unless a person gave it up."""
    paid = purchase.state == "succeeded" and results.take_of(conn, purchase.purchase_id) is None
    return purchase.live or (paid and not parked.given_up(conn, purchase.purchase_id))


def _progress(ledger: Ledger, catalog: Catalog, driven: list[Purchase]) -> Progress:
    waiting, failed, again = [], [], []
    done = 0
    with ledger.read() as conn:
        now = database_now(conn)
        lost = {p.purchase_id for p in driven if p.state == "succeeded" and parked.given_up(conn, p.purchase_id)}
    for p in driven:
        where = f"{p.job_id} shot {p.subject} at {p.backend}"
        if p.purchase_id in lost:
            failed.append(f"{where}: paid, and the vendor no longer has its file")
        elif p.state == "succeeded":
            done += 1
        elif p.state == "submitted" and p.parked_at is not None:
            failed.append(f"{where}: not ended in time; still watched, {dollars(p.hold)} stay held")
        elif p.state == "submitted" and p.vendor_id:
            waiting.append(Waiting(purchase_id=p.purchase_id, vendor_id=p.vendor_id))
            # However often it was waited for: then its shot may go on elsewhere.
            again.append(_late_at(catalog, p))
        elif p.state == "submitting":
            again.append(p.lease_until or now)
        elif p.state == "held" or (p.state == "unknown" and p.parked_at is None):
            again.append(now + timedelta(seconds=catalog.backends[p.backend].poll_seconds))
        elif p.state == "unknown":
            why = f"the answer was lost and {p.backend} offers no way to look"
            failed.append(f"{where}: {why}; parked, {dollars(p.hold)} stay held")
        elif p.retry_at is not None and p.retry_at > now:
            again.append(p.retry_at)
        elif p.state in ("voided", "expired"):
            failed.append(f"{where}: the hold was given back before it was sent")
        else:
            failed.append(f"{where}: {p.failure or p.state}: {p.message or 'no reason given'}")
    return Progress(waiting=tuple(waiting), look_again_at=min(again, default=None), failed=tuple(failed), done=done)


def drive(
    ledger: Ledger, catalog: Catalog, storage: Storage, adapter: Backend, purchase_id: str, *, may_send: bool = True
) -> Purchase:
    """Take one purchase as many steps as it can go without waiting, and return it.

    With `may_send` false nothing new is sent: only what already left is followed up.
    """
    purchase = _reload(ledger, purchase_id)
    with logs.about(**purchase.log_fields):
        return _driven(ledger, catalog, storage, adapter, purchase, may_send=may_send)


def _driven(
    ledger: Ledger, catalog: Catalog, storage: Storage, adapter: Backend, purchase: Purchase, *, may_send: bool
) -> Purchase:
    purchase_id = purchase.purchase_id
    if purchase.state == "held" and may_send:
        purchase = _send(ledger, catalog, adapter, purchase)
    if purchase.state == "submitting":
        with ledger.write() as conn:
            purchases.lose(conn, purchase_id, catalog=catalog, now=database_now(conn), why="the process that sent it died")
        purchase = _reload(ledger, purchase_id)
    if purchase.state == "unknown" and purchase.parked_at is None:
        purchase = _look(ledger, catalog, adapter, purchase)
    if may_send and (purchase.state == "absent" or purchase.retry_at is not None):
        again = _buy_again(ledger, catalog, purchase)
        return drive(ledger, catalog, storage, adapter, again.purchase_id) if again else purchase
    if purchase.state == "submitted":
        purchase = _ask(ledger, catalog, adapter, purchase)
    if purchase.state == "succeeded":
        _secure(ledger, storage, adapter, purchase)
    return purchase


def _send(ledger: Ledger, catalog: Catalog, adapter: Backend, purchase: Purchase) -> Purchase:
    """T2, the request, and what came of it."""
    if settings.dry_run():
        raise PurchasingStopped(f"dry run: {purchase.backend} was not asked for {purchase.job_id} shot {purchase.subject}")
    # Asked before the transaction: it may be a connection that has to be looked up.
    key, fence, claimed_at, account = purchase.purchase_id, None, 0.0, adapter.account
    try:
        with ledger.write() as conn:
            now, claimed_at = database_now(conn), monotonic()
            if purchase.expires_at is not None and purchase.expires_at <= now:
                purchases.release(conn, key, Step.EXPIRE, catalog=catalog, now=now)
            elif _served(conn, purchase):
                purchases.release(conn, key, Step.VOID, catalog=catalog, now=now)
            else:
                envelope = envelope_of(conn, purchase.job_id, purchase.version)
                fence = purchases.claim(conn, key, envelope=envelope, catalog=catalog, now=now, account=account)
    except StaleState:
        # Another process was faster: what it did is in the ledger.
        return _reload(ledger, key)
    if fence is None:
        return _reload(ledger, key)
    _request(ledger, catalog, adapter, purchase, fence, claimed_at)
    return _reload(ledger, key)


def _served(conn: Connection, purchase: Purchase) -> bool:
    """Whether the shot has been paid elsewhere meanwhile, a parked render of it may still end as a take, or it uses one."""
    seen = results.judged(conn, purchase.job_id, purchase.version)
    judged = {j.take.take_id: j.verdict for j in seen}
    if any(j.take.shot == purchase.shot and j.verdict is not Verdict.REJECTED for j in seen):
        return True
    siblings = [p for p in purchases.of_job(conn, purchase.job_id, purchase.version) if p.subject == purchase.subject]
    paid = [p.purchase_id for p in siblings if p.state == "succeeded" and judged.get(p.purchase_id) is not Verdict.REJECTED]
    return any(not parked.given_up(conn, purchase_id) for purchase_id in paid)


def _request(ledger: Ledger, catalog: Catalog, adapter: Backend, purchase: Purchase, fence: int, claimed_at: float) -> None:
    """Send the one request, outside any transaction, and record its outcome."""
    key = purchase.purchase_id
    accepted: Accepted | None = None
    ours = False
    rejected: Failure | None = None
    lost = ""
    if monotonic() - claimed_at > MAX_CLAIM_AGE.total_seconds():
        why = "not sent: this process was stopped in between"
        rejected = Failure(kind=FailureKind.TIMEOUT, message=why, money_moved="no", strike=False)
    else:
        try:
            accepted = adapter.submit(purchase.render_request, key=key)
        except SubmitRejected as error:
            wait = None if error.retry_after is None else timedelta(seconds=error.retry_after)
            worth = wait if wait is not None and wait <= MAX_WAIT else None
            rejected = Failure(kind=error.kind, message=str(error), money_moved="no", come_again_after=worth)
        except SubmitAmbiguous as error:
            lost = str(error)
        except Exception as error:
            # An adapter that breaks its contract cannot say whether the request left. Assume that it did.
            log.exception("%s broke its contract while submitting %s", adapter.name, key)
            lost = f"{type(error).__name__}: {error}"
    if accepted is not None and not accepted.vendor_id:
        accepted, lost = None, "the vendor accepted it without an id"
    _log_answer(adapter.name, key, accepted, rejected.message if rejected else f"the answer is lost: {lost}")
    try:
        with ledger.write() as conn:
            now = database_now(conn)
            if accepted is not None:
                ours = purchases.accept(conn, key, accepted.vendor_id, now=now)
            elif rejected is not None:
                purchases.close(conn, key, Step.REJECT, catalog=catalog, now=now, failure=rejected, fence=fence)
            else:
                purchases.lose(conn, key, catalog=catalog, now=now, fence=fence, why=lost)
    except StaleState as error:
        # The lease was taken over meanwhile: who did looks after it.
        log.warning("what %s said of %s came too late: %s", adapter.name, key, error)
    if accepted is not None and ours and accepted.state is not None and accepted.state.final:
        _close(ledger, catalog, _reload(ledger, key), accepted.state)


def _log_answer(name: str, key: str, accepted: Accepted | None, otherwise: str) -> None:
    """Written down even when the ledger cannot be: a person can find the render by it."""
    if accepted is not None:
        log.info("%s accepted %s as %s", name, key, accepted.vendor_id)
    else:
        log.warning("%s did not accept %s: %s", name, key, otherwise)


def _look(ledger: Ledger, catalog: Catalog, adapter: Backend, purchase: Purchase) -> Purchase:
    """A lost answer: find the render, prove that there is none, or leave it to a person."""
    key = purchase.purchase_id
    since = purchase.submitted_at or purchase.created_at
    try:
        here = purchase.account in (None, adapter.account)
        found = adapter.find(purchase.render_request, key=key, since=since) if here else Found()
        if not here:
            log.warning(
                "%s was sent with other keys or to another place than %s has now; it cannot be looked for", key, adapter.name
            )
    except Exception as error:
        # Not having looked proves nothing, and is no reason to look for ever.
        log.warning("looking for %s at %s failed: %s", key, adapter.name, error, exc_info=not isinstance(error, BackendError))
        found = Found()
    with ledger.write() as conn:
        now = database_now(conn)
        longest = timedelta(seconds=catalog.backends[purchase.backend].max_run_seconds)
        ours = list(found.vendor_ids)
        if found.interchangeable:
            ours = purchases.unclaimed(conn, purchase.backend, ours)[:1]
        if ours:
            for vendor_id in ours:
                purchases.accept(conn, key, vendor_id, now=now)
        elif found.proof:
            never = Failure(kind=FailureKind.TRANSIENT, message="the request never arrived", money_moved="no")
            purchases.close(conn, key, Step.PROVE_ABSENT, catalog=catalog, now=now, failure=never)
        elif not adapter.can_find or now > since + longest + LAST_LOOK:
            purchases.park(conn, key, now=now)
    return _reload(ledger, key)


def _buy_again(ledger: Ledger, catalog: Catalog, purchase: Purchase) -> Purchase | None:
    """Hold the shot once more at a backend that for certain did not take it: it proved so, or had no room."""
    with ledger.read() as conn:
        siblings = [p for p in purchases.of_job(conn, purchase.job_id, purchase.version) if p.subject == purchase.subject]
        now = database_now(conn)
    if purchase.retry_at is not None and purchase.retry_at > now:
        return None
    newest = siblings[-1]
    if newest.sequence > purchase.sequence:
        # It was bought again before, or the shot went on elsewhere; only the first is this backend's.
        return newest if (newest.backend, newest.round) == (purchase.backend, purchase.round) else None
    here = [p for p in siblings if (p.backend, p.round) == (purchase.backend, purchase.round)]
    if sum(1 for p in here if p.state == "absent" or p.retry_at is not None) > MAX_AGAIN:
        return None

    def again(conn: Connection) -> Purchase:
        now = database_now(conn)
        # The sequence makes sure that nobody went on elsewhere in between: it would be taken.
        held = place_hold(
            conn,
            catalog,
            job_id=purchase.job_id,
            version=purchase.version,
            shot=purchase.shot,
            backend=purchase.backend,
            sequence=purchase.sequence + 1,
            round=purchase.round,
            now=now,
        )
        choices = {of: (round, choice) for round, of, choice in jobs.decisions_of(conn, held.job_id, held.version)}
        if purchase.purchase_id in choices and held.purchase_id not in choices:
            round, choice = choices[purchase.purchase_id]
            jobs.decide(conn, held.job_id, held.version, round, choice, held.purchase_id, now=now)
        return held

    try:
        return ledger.transact(again)
    except (MoneyError, NotCapable) as error:
        log.warning("%s shot %s is not bought again: %s", purchase.job_id, purchase.subject, error)
        return None


def _ask(ledger: Ledger, catalog: Catalog, adapter: Backend, purchase: Purchase) -> Purchase:
    """Ask the vendor once. No answer changes nothing, until the backend's deadline: then its shot may go on elsewhere.

    It stays watched: the money is out. Once the vendor's longest run is over, it also waits for a person.
    """
    seen: list[tuple[str, JobState]] = []
    try:
        state = adapter.poll(purchase.vendor_id or "")
    except BackendError as error:
        log.warning("%s did not say how %s is doing: %s", adapter.name, purchase.purchase_id, error)
    else:
        if state.final:
            return _close(ledger, catalog, purchase, state)
        seen.append((purchase.vendor_id or "", state))
    with ledger.write() as conn:
        now = database_now(conn)
        sightings.see(conn, purchase.backend, seen, now=now)
        if now > _late_at(catalog, purchase):
            purchases.park(conn, purchase.purchase_id, now=now)
    return _reload(ledger, purchase.purchase_id)


def _late_at(catalog: Catalog, purchase: Purchase) -> datetime:
    """When a render has taken longer than its backend's deadline."""
    return (purchase.submitted_at or purchase.created_at) + timedelta(seconds=catalog.backends[purchase.backend].deadline)


def _close(ledger: Ledger, catalog: Catalog, purchase: Purchase, state: JobState) -> Purchase:
    """T5 with what the vendor said. Without a word on money, a render that may have cost something costs its hold."""
    said = state.charged
    if said is not None and said < 0:
        log.warning(
            "%s says that %s was charged %d micro-dollars: no word on money", purchase.backend, purchase.purchase_id, said
        )
        said = None
    if said is None and state.usage is not None:
        said = charged(catalog.prices, purchase.render_request, state.usage, on=purchase.created_at.date())
    owed = 0 if state.money_moved == "no" else purchase.hold
    charge = said if said is not None else (purchase.hold if state.state == "succeeded" else owed)
    failure = None
    if state.state != "succeeded":
        kind = state.kind or FailureKind.VENDOR_INTERNAL
        failure = Failure(kind=kind, message=state.message or state.state, money_moved=state.money_moved)
    log.info("%s at %s: %s charged%s", state.state, purchase.backend, dollars(charge), f"; {failure.message}" if failure else "")
    try:
        with ledger.write() as conn:
            purchases.close(
                conn,
                purchase.purchase_id,
                _STEP_OF[state.state],
                catalog=catalog,
                now=database_now(conn),
                charge=charge,
                cost_source="vendor" if said is not None else "quote",
                failure=failure,
            )
    except StaleState as error:
        # Another process was told another end, and was faster.
        log.warning("%s is %s by now: %s", purchase.purchase_id, state.state, error)
    return _reload(ledger, purchase.purchase_id)


def cancel(ledger: Ledger, catalog: Catalog, adapter: Backend, purchase_id: str, *, by: str) -> str:
    """Ask the vendor to stop a render, write down what it said, and settle what is certain. Returns it in one line.

    What the vendor stopped is closed: free where it says so, else at what it tells or at the hold. What it did not stop
    stays watched and is paid.
    """
    purchase = _reload(ledger, purchase_id)
    where = f"{purchase.job_id} shot {purchase.subject} at {purchase.backend}"
    if purchase.state != "submitted":
        return f"{where}: {purchase.state}, so there is nothing to stop"
    try:
        said = adapter.cancel(purchase.vendor_id or "")
    except BackendError as error:
        log.warning("%s did not say whether %s was stopped: %s", adapter.name, purchase_id, error)
        said = CancelOutcome(stopped="unknown", refunded="unknown")
    with ledger.write() as conn:
        now = database_now(conn)
        told = {"purchase_id": purchase_id, "by": by, **said.model_dump()}
        outbox.emit(conn, f"{purchase_id}.cancel.{now.isoformat()}", "cancel_asked", now=now, **told)
    if said.stopped == "yes":
        purchase = _close(ledger, catalog, purchase, _stopped(adapter, purchase, said, by))
    money = f"{dollars(purchase.charged)} charged" if purchase.charged is not None else f"{dollars(purchase.hold)} stay held"
    return f"{where}: stopped {said.stopped}, refunded {said.refunded}; {purchase.state}, {money}"


def _stopped(adapter: Backend, purchase: Purchase, said: CancelOutcome, by: str) -> JobState:
    """How a render ended that was stopped: as the vendor shows it, or, where it shows nothing any more, as it answered."""
    try:
        state = adapter.poll(purchase.vendor_id or "")
    except BackendError:
        state = None
    if state is not None and state.final:
        return state
    moved: dict[str, MoneyMoved] = {"yes": "no", "no": "yes", "unknown": "maybe"}
    return JobState(state="cancelled", message=f"stopped by {by}", money_moved=moved[said.refunded])


def _secure(ledger: Ledger, storage: Storage, adapter: Backend, purchase: Purchase) -> None:
    """Bring a paid render home, once. It is settled already; failing here is tried again, never bought again."""
    key = purchase.purchase_id
    with ledger.read() as conn:
        if results.take_of(conn, key) is not None or parked.given_up(conn, key):
            return
    folder = settings.var_dir() / "incoming"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        file = Path(scratch) / "take.mp4"
        try:
            adapter.fetch(purchase.vendor_id or "", file)
            # Part of the name: a download that differs from one kept before a crash must not be refused for it.
            with file.open("rb") as stream:
                mark = hashlib.file_digest(stream, "sha256").hexdigest()[:8]
        except (BackendError, OSError) as error:
            paid = f"{purchase.job_id} shot {purchase.subject} is paid at {purchase.backend}, but its file did not come home"
            raise StorageError(f"{paid}: {error}") from error
        kept = storage.keep(file, f"{purchase.job_id}/v{purchase.version}/takes/shot-{purchase.shot:02d}-{key[:12]}-{mark}.mp4")
    take = Take(
        take_id=key,
        job_id=purchase.job_id,
        version=purchase.version,
        shot=purchase.shot,
        backend=purchase.backend,
        path=kept.path,
        sha256=kept.sha256,
        size=kept.size,
    )
    with ledger.write() as conn:
        results.keep(conn, take, now=database_now(conn))
    log.info("its file is kept as %s", kept.path)


# --- judgements: one request, answered at once ---------------------------------------------------------


def place_judgement(
    conn: Connection, catalog: Catalog, take: Take, request: JudgeRequest, *, sequence: int, round: int, now: datetime
) -> Purchase:
    """Quote one judgement of a take and set the money aside (T1), inside the caller's transaction.

    Raises `NotCapable`, `BudgetExceeded`, `PurchasingStopped`, `KeyReused`, `StaleState`.
    """
    envelope, spec = envelope_of(conn, take.job_id, take.version), jobs.spec(conn, take.job_id)
    rules = limits.in_force(conn, catalog, take.job_id, now=now)
    new = NewHold(
        request=request,
        envelope=envelope,
        kind="judge",
        subject=take.take_id,
        sequence=sequence,
        round=round,
        amount=judgement_quote(catalog.prices, request, now.date()),
        limits=rules.caps(spec=spec, job_id=take.job_id, envelope=envelope, backend=request.backend, catalog=catalog, now=now),
    )
    return purchases.hold(conn, new, catalog=catalog, now=now)


def answer_file(purchase: Purchase) -> str:
    """Where the answer of a judgement is kept, below the storage root."""
    return f"{purchase.job_id}/v{purchase.version}/judgements/{purchase.purchase_id}.json"


def ask_judge(ledger: Ledger, catalog: Catalog, storage: Storage, judge: Judge, purchase: Purchase, clip: Path) -> Purchase:
    """Send a judgement that is held, keep the answer, and settle; return the purchase as it ended.

    Without a free slot it stays held. An answer that is lost costs its hold: nobody can look for it, and it is never asked
    for again under this purchase. Raises `PurchasingStopped`, and `StorageError` when a paid answer cannot be kept.
    """
    shut = settings.dry_run()
    if shut:
        raise PurchasingStopped(f"dry run: {purchase.backend} was not asked about a take of {purchase.job_id}")
    key, fence, claimed_at = purchase.purchase_id, None, 0.0
    try:
        with ledger.write() as conn:
            now, claimed_at = database_now(conn), monotonic()
            if purchase.expires_at is not None and purchase.expires_at <= now:
                purchases.release(conn, key, Step.EXPIRE, catalog=catalog, now=now)
            else:
                envelope = envelope_of(conn, purchase.job_id, purchase.version)
                fence = purchases.claim(conn, key, envelope=envelope, catalog=catalog, now=now)
    except StaleState:
        # Another process was faster: what it did is in the ledger.
        return _reload(ledger, key)
    if fence is not None:
        with logs.about(**purchase.log_fields):
            _question(ledger, catalog, storage, judge, purchase, clip, fence, claimed_at)
    return _reload(ledger, key)


def _question(
    ledger: Ledger,
    catalog: Catalog,
    storage: Storage,
    judge: Judge,
    purchase: Purchase,
    clip: Path,
    fence: int,
    claimed_at: float,
) -> None:
    """Send the one request, outside any transaction, and record its outcome."""
    key = purchase.purchase_id
    rejected: Failure | None = None
    answered: Answered | None = None
    try:
        too_old = monotonic() > claimed_at + MAX_CLAIM_AGE.total_seconds()
        if too_old:
            why = "not sent: this process was stopped in between"
            rejected = Failure(kind=FailureKind.TIMEOUT, message=why, money_moved="no", strike=False)
        else:
            answered = judge.ask(purchase.judge_request, clip, key=key)
    except SubmitRejected as error:
        wait = None if error.retry_after is None else timedelta(seconds=error.retry_after)
        worth = wait if wait is not None and wait <= MAX_WAIT else None
        rejected = Failure(kind=error.kind, message=str(error), money_moved="no", come_again_after=worth)
    except SubmitAmbiguous as error:
        settle_judgement(ledger, catalog, key, fence=fence, why=str(error))
        return
    except Exception as error:
        # An adapter that breaks its contract cannot say whether the request left. Assume that it did.
        log.exception("%s broke its contract while judging %s", judge.name, key)
        settle_judgement(ledger, catalog, key, fence=fence, why=f"{type(error).__name__}: {error}")
        return
    if answered is None:
        try:
            with ledger.write() as conn:
                now = database_now(conn)
                purchases.close(conn, key, Step.REJECT, catalog=catalog, now=now, failure=rejected, fence=fence)
        except StaleState as error:
            log.warning("what %s said of %s came too late: %s", judge.name, key, error)
        return
    # Kept before it is booked, and booked whether or not it could be kept: it was paid for.
    try:
        storage.keep_text(answered.model_dump_json(), answer_file(purchase))
    finally:
        _book_answer(ledger, catalog, purchase, answered)


def _book_answer(ledger: Ledger, catalog: Catalog, purchase: Purchase, answered: Answered) -> None:
    """T3 and T5 in one: an answer is the end of its purchase. Without a word on tokens it costs its hold."""
    key, request = purchase.purchase_id, purchase.judge_request
    cost = judgement_cost(catalog.prices, request, answered, on=purchase.created_at.date())
    with ledger.write() as conn:
        now = database_now(conn)
        if purchases.accept(conn, key, answered.answer_id, now=now):
            purchases.close(
                conn,
                key,
                Step.SUCCEED,
                catalog=catalog,
                now=now,
                charge=purchase.hold if cost is None else cost,
                cost_source="quote" if cost is None else "vendor",
            )


def settle_judgement(ledger: Ledger, catalog: Catalog, purchase_id: str, *, why: str, fence: int | None = None) -> Purchase:
    """Book a judgement whose answer is lost at its hold: it may have been billed, and no vendor lets one look.

    With a `fence`, only for that claim; without, only once its lease has run out.
    """
    with ledger.write() as conn:
        now = database_now(conn)
        if purchases.lose(conn, purchase_id, catalog=catalog, now=now, fence=fence, why=why):
            hold = _reload_in(conn, purchase_id).hold
            lost = Failure(kind=FailureKind.TIMEOUT, message=why, money_moved="maybe")
            step = Step.WRITE_OFF
            purchases.close(conn, purchase_id, step, catalog=catalog, now=now, charge=hold, cost_source="quote", failure=lost)
        return _reload_in(conn, purchase_id)


def _reload(ledger: Ledger, purchase_id: str) -> Purchase:
    with ledger.read() as conn:
        return _reload_in(conn, purchase_id)


def _reload_in(conn: Connection, purchase_id: str) -> Purchase:
    found = purchases.get(conn, purchase_id)
    if found is None:
        raise StaleState(f"purchase {purchase_id} is not in this ledger")
    return found
