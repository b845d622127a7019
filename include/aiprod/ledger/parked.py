"""Purchases that wait for a person, and every answer a person can give."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection, and_, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from aiprod.catalog import Catalog
from aiprod.errors import FailureKind, SpecError, StaleState
from aiprod.ledger import outbox, purchases
from aiprod.ledger.insertion import insert_once
from aiprod.ledger.purchases import Failure, Purchase
from aiprod.ledger.schema import purchases as rows
from aiprod.ledger.schema import resolutions, shown, takes
from aiprod.ledger.states import Step
from aiprod.models import Micros, Noun

__all__ = [
    "AnswerWord",
    "Resolution",
    "did_not_run",
    "file_gone",
    "find",
    "given_up",
    "ran",
    "resolutions_of",
    "show",
    "shown_first",
    "waiting",
    "write_off",
]

AnswerWord = Literal["ran", "did_not_run", "write_off", "file_gone"]

#: A paid render whose file has not come home for this long is put before a person.
MISSING_AFTER = timedelta(hours=1)
#: Stands where other questions have their job: ids of jobs hold no space.
_QUESTION = "parked purchase"
#: Longer than any vendor's id.
_LONGEST_ID = 300


class Resolution(Noun):
    """What a person said about one purchase."""

    purchase_id: str
    answer: AnswerWord
    vendor_id: str | None
    resolved_by: str
    why: str
    at: datetime


def waiting(conn: Connection, *, now: datetime) -> list[Purchase]:
    """Return what a person can act on, oldest first: the parked, and the paid whose file does not come home."""
    gone = select(resolutions.c.purchase_id).where(resolutions.c.answer == "file_gone")
    not_home = rows.c.purchase_id.not_in(select(takes.c.take_id)) & rows.c.purchase_id.not_in(gone)
    missing = and_(rows.c.state == "succeeded", rows.c.kind == "render", rows.c.closed_at < now - MISSING_AFTER, not_home)
    # What is only late still runs at its vendor: nobody can say more than the vendor yet.
    over = or_(rows.c.state == "unknown", rows.c.slot_until.is_(None), rows.c.slot_until <= now)
    parked = and_(rows.c.state.in_(("unknown", "submitted")), rows.c.parked_at.is_not(None), over)
    since = func.coalesce(rows.c.parked_at, rows.c.closed_at)
    ids = conn.execute(select(rows.c.purchase_id).where(or_(parked, missing)).order_by(since, rows.c.purchase_id)).scalars().all()
    return [found for purchase_id in ids if (found := purchases.get(conn, purchase_id)) is not None]


def find(conn: Connection, prefix: str, *, now: datetime) -> Purchase:
    """Return the purchase whose id begins with `prefix`: one that waits, else any. Raises `StaleState` unless it is one."""
    wanted = prefix.strip().lower()
    if not wanted:
        raise StaleState("say which purchase: `aiprod parked` lists those that wait for a person")
    found = [p for p in waiting(conn, now=now) if p.purchase_id.startswith(wanted)]
    if not found:
        any_state = select(rows.c.purchase_id).where(rows.c.purchase_id.startswith(wanted, autoescape=True)).limit(2)
        ids = conn.execute(any_state).scalars().all()
        found = [p for purchase_id in ids if (p := purchases.get(conn, purchase_id)) is not None]
    if len(found) != 1:
        how_many = "more than one purchase begins" if found else "no purchase begins"
        raise StaleState(f"{how_many} with {prefix!r}; `aiprod parked` lists those that wait for a person")
    return found[0]


def ran(conn: Connection, purchase_id: str, vendor_id: str, *, by: str, why: str, now: datetime) -> Purchase:
    """It ran: attach the vendor's id, so that the render is watched, paid for and fetched. Its hold becomes its charge.

    Said again of a parked one with another id, it corrects a person's mistake. Raises `StaleState` when the purchase
    does not wait for this, or the id is another purchase's.
    """
    known = _locked(conn, purchase_id)
    said = resolutions_of(conn, purchase_id)
    vendor_id = _plain_id(vendor_id)
    if known.state == "unknown" and known.parked_at is not None:
        purchases.accept(conn, purchase_id, vendor_id, now=now)
    elif known.state == "submitted" and known.parked_at is not None and said and said[-1].vendor_id == known.vendor_id:
        _rename(conn, purchase_id, vendor_id, now=now)
    elif known.state == "submitted":
        raise StaleState(f"purchase {purchase_id} is known to run as {known.vendor_id} and is watched")
    else:
        raise StaleState(_not_waiting(known))
    return _said(conn, known, "ran", by=by, why=why, now=now, vendor_id=vendor_id)


def did_not_run(conn: Connection, purchase_id: str, *, catalog: Catalog, by: str, why: str, now: datetime) -> Purchase:
    """It did not run: close it as absent and give its hold back. If it did run, its shot may be paid for twice.

    Raises `StaleState` when the purchase does not wait for this.
    """
    known = _locked(conn, purchase_id)
    if known.state == "submitted" and known.parked_at is not None:
        raise StaleState(
            f"{known.backend} accepted purchase {purchase_id} as {known.vendor_id}, so it ran; "
            "if it is not billed, write it off with a charge of 0"
        )
    if known.state != "unknown" or known.parked_at is None:
        raise StaleState(_not_waiting(known))
    never = Failure(kind=FailureKind.TRANSIENT, message=f"did not run, says {by}: {why}", money_moved="no")
    purchases.close(conn, purchase_id, Step.PROVE_ABSENT, catalog=catalog, now=now, failure=never)
    return _said(conn, known, "did_not_run", by=by, why=why, now=now)


def write_off(
    conn: Connection, purchase_id: str, *, charge: Micros | None, catalog: Catalog, by: str, why: str, now: datetime
) -> Purchase:
    """Nobody will know: close it, charged `charge` micro-dollars, or its whole hold. It is not watched any more.

    Raises `StaleState` when the purchase does not wait for this.
    """
    known = _locked(conn, purchase_id)
    if known.state not in ("unknown", "submitted") or known.parked_at is None:
        raise StaleState(_not_waiting(known))
    amount = known.hold if charge is None else charge
    if amount < 0:
        raise SpecError(["charged: an amount of dollars, 0 or more"])
    lost = Failure(kind=FailureKind.GONE, message=f"written off by {by}: {why}", money_moved="maybe")
    step, source = Step.WRITE_OFF, "person"
    purchases.close(conn, purchase_id, step, catalog=catalog, now=now, charge=amount, cost_source=source, failure=lost)
    return _said(conn, known, "write_off", by=by, why=why, now=now)


def file_gone(conn: Connection, purchase_id: str, *, by: str, why: str, now: datetime) -> Purchase:
    """It is paid and the vendor no longer has its file: stop fetching, and let its shot be bought again.

    The charge stands. Raises `StaleState` when the file came home, or nothing was paid for it.
    """
    known = _locked(conn, purchase_id)
    home = conn.execute(select(takes.c.take_id).where(takes.c.take_id == purchase_id)).first() is not None
    if known.state != "succeeded" or home or given_up(conn, purchase_id):
        raise StaleState(f"purchase {purchase_id} is {known.state}{' and its file is stored' if home else ''}; no file is missed")
    return _said(conn, known, "file_gone", by=by, why=why, now=now)


def given_up(conn: Connection, purchase_id: str) -> bool:
    """Whether a person said that the file of a paid purchase can not come home any more."""
    gone = select(resolutions.c.resolution_id).where(
        resolutions.c.purchase_id == purchase_id, resolutions.c.answer == "file_gone"
    )
    return conn.execute(gone.limit(1)).first() is not None


def resolutions_of(conn: Connection, purchase_id: str) -> list[Resolution]:
    """Return what people said about a purchase, oldest first."""
    statement = select(resolutions).where(resolutions.c.purchase_id == purchase_id).order_by(resolutions.c.resolution_id)
    return [Resolution(**{n: row[n] for n in Resolution.model_fields}) for row in conn.execute(statement).mappings()]


def show(conn: Connection, run_id: str, task_id: str, purchase_id: str, *, now: datetime) -> str:
    """Note which purchase a parked question shows; return the first one, whatever is asked later.

    Airflow keeps the first text of a question, even after a retry or a clear.
    """
    key = {"run_id": run_id, "task_id": task_id, "job_id": _QUESTION}
    insert_once(conn, shown, {**key, "version": 0, "content": purchase_id, "shown_at": now})
    return shown_first(conn, run_id, task_id) or purchase_id


def shown_first(conn: Connection, run_id: str, task_id: str) -> str | None:
    """Which purchase the parked question shows people."""
    mine = (shown.c.run_id == run_id, shown.c.task_id == task_id, shown.c.job_id == _QUESTION)
    return conn.execute(select(shown.c.content).where(*mine)).scalar()


def _said(
    conn: Connection, before: Purchase, word: AnswerWord, *, by: str, why: str, now: datetime, vendor_id: str | None = None
) -> Purchase:
    """Write the answer down with its event; return the purchase as it is now."""
    if not why.strip() or not by.strip():
        raise SpecError(["why: say why, for whoever reads the books later"])
    row = {"purchase_id": before.purchase_id, "answer": word, "vendor_id": vendor_id, "resolved_by": by, "why": why.strip()}
    number = conn.execute(insert(resolutions).values(**row, at=now).returning(resolutions.c.resolution_id)).scalar_one()
    outbox.emit(conn, f"{before.purchase_id}.resolved.{number}", "purchase_resolved", now=now, **row)
    after = purchases.get(conn, before.purchase_id)
    assert after is not None  # noqa: S101 - locked above
    return after


def _locked(conn: Connection, purchase_id: str) -> Purchase:
    """Of two people who answer at once the second sees what the first said."""
    conn.execute(select(rows.c.purchase_id).where(rows.c.purchase_id == purchase_id).with_for_update())
    found = purchases.get(conn, purchase_id)
    if found is None:
        raise StaleState(f"purchase {purchase_id} is not in this ledger")
    return found


def _rename(conn: Connection, purchase_id: str, vendor_id: str, *, now: datetime) -> None:
    renamed = update(rows).where(rows.c.purchase_id == purchase_id).values(vendor_id=vendor_id, updated_at=now)
    try:
        with conn.begin_nested():
            conn.execute(renamed)
    except IntegrityError:
        raise StaleState(f"vendor job {vendor_id} belongs to another purchase than {purchase_id}") from None


def _plain_id(vendor_id: str) -> str:
    plain = vendor_id.strip()
    if not plain or len(plain) > _LONGEST_ID or any(c.isspace() or not c.isprintable() for c in plain):
        raise SpecError(["vendor-id: the id that the vendor's own page shows for this render"])
    return plain


def _not_waiting(purchase: Purchase) -> str:
    state = purchase.state if purchase.parked_at is None else f"{purchase.state}, parked"
    return f"purchase {purchase.purchase_id} is {state}; it does not wait for this answer"
