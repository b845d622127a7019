"""What a person needs to know about each purchase that waits for one, and what each answer does."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from aiprod.backends import backend, why_not_configured
from aiprod.catalog import Catalog
from aiprod.errors import BackendError, FailureKind, SpecError, StaleState
from aiprod.ledger import Ledger, owners, parked
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.parked import AnswerWord
from aiprod.ledger.purchases import Purchase
from aiprod.models import Micros, Noun, dollars

__all__ = ["Parked", "answer", "asked", "consequence", "listed", "one", "said"]

#: Of the prompt: enough to find the render on the vendor's page.
_PROMPT = 60
#: Of the id: more only where two that wait begin alike.
_SHORT = 8


class Parked(Noun):
    """One purchase that waits for a person. `short` is enough of its id to name it; `answers` are those that apply."""

    purchase: Purchase
    short: str
    prompt: str
    sent_at: datetime
    since: datetime
    why: str
    answers: tuple[AnswerWord, ...]


def listed(ledger: Ledger, *, hidden_projects: Collection[str] = ()) -> list[Parked]:
    """Return every purchase that waits for a person, the longest waiting first; none of the hidden projects."""
    with ledger.read() as conn:
        found = parked.waiting(conn, now=database_now(conn))
        if hidden_projects:
            found = [p for p in found if owners.project_of(conn, p.job_id) not in hidden_projects]
    ids = [p.purchase_id for p in found]
    return [_parked(purchase, ids) for purchase in found]


def one(ledger: Ledger, prefix: str) -> Parked:
    """Return the purchase that `prefix` names. Raises `StaleState` when it names none, or several."""
    with ledger.read() as conn:
        return _parked(parked.find(conn, prefix, now=database_now(conn)), [])


def asked(ledger: Ledger, prefix: str, *, run_id: str, task_id: str) -> Parked | None:
    """Return the purchase that a run's question is about: the one it showed first, else the one that `prefix` names, else
    the one that waits longest. One that was answered meanwhile has no `answers` left; None when nothing waits at all.

    Raises `StaleState` when `prefix` names none, or several.
    """
    with ledger.write() as conn:
        now = database_now(conn)
        waiting = parked.waiting(conn, now=now)
        found = parked.shown_first(conn, run_id, task_id)
        if found is None and prefix.strip():
            found = parked.find(conn, prefix, now=now).purchase_id
        elif found is None and waiting:
            found = waiting[0].purchase_id
        if found is None:
            return None
        parked.show(conn, run_id, task_id, found, now=now)
        purchase = parked.find(conn, found, now=now)
    waits = found in [p.purchase_id for p in waiting]
    return _parked(purchase, []) if waits else _parked(purchase, []).model_copy(update={"answers": ()})


def said(ledger: Ledger, purchase_id: str) -> list[str]:
    """Return what people said about a purchase, one line each, oldest first."""
    with ledger.read() as conn:
        return [f"{r.answer}, says {r.resolved_by}: {r.why}" for r in parked.resolutions_of(conn, purchase_id)]


def consequence(purchase: Purchase, word: AnswerWord) -> str:
    """Return what an answer could cost, in one sentence; empty for one that cannot make anybody pay twice."""
    shot, held = f"shot {purchase.subject} of {purchase.job_id}", dollars(purchase.hold)
    return {
        "ran": "",
        "did_not_run": f"{held} are given back and {shot} may be bought again; if it did run after all, you pay twice",
        "write_off": f"{shot} is not watched any more and may be bought again; if it did run, its clip is lost and you pay twice",
        "file_gone": f"{shot} is paid with {dollars(purchase.charged or 0)} and may be bought again, so you pay for it twice",
    }[word]


def answer(
    ledger: Ledger,
    catalog: Catalog,
    purchase_id: str,
    word: AnswerWord,
    *,
    by: str,
    why: str,
    vendor_id: str = "",
    charged: Micros | None = None,
) -> str:
    """Do what a person says about a purchase, once; return what became of it, in one line.

    Raises `SpecError` when something is missing from the answer, `StaleState` when the purchase does not wait for it,
    or its backend does not know the render.
    """
    if not why.strip():
        raise SpecError(["why: say why, for whoever reads the books later"])
    if word == "ran":
        _known_to_vendor(ledger, catalog, purchase_id, vendor_id)
    with ledger.write() as conn:
        now = database_now(conn)
        if word == "ran":
            after = parked.ran(conn, purchase_id, vendor_id, by=by, why=why, now=now)
        elif word == "did_not_run":
            after = parked.did_not_run(conn, purchase_id, catalog=catalog, by=by, why=why, now=now)
        elif word == "write_off":
            after = parked.write_off(conn, purchase_id, charge=charged, catalog=catalog, by=by, why=why, now=now)
        else:
            after = parked.file_gone(conn, purchase_id, by=by, why=why, now=now)
    return _outcome(after, word)


def _known_to_vendor(ledger: Ledger, catalog: Catalog, purchase_id: str, vendor_id: str) -> None:
    """Ask the backend about the id, where it can be asked: a slip of the pen would leave the render unfetched."""
    with ledger.read() as conn:
        name = parked.find(conn, purchase_id, now=database_now(conn)).backend
    if not vendor_id.strip():
        raise SpecError(["vendor-id: the id that the vendor's own page shows for this render"])
    if name not in catalog.backends or why_not_configured(catalog, name):
        return
    try:
        backend(catalog, name).poll(vendor_id.strip())
    except BackendError as error:
        if error.kind is FailureKind.GONE:
            raise StaleState(f"{name} knows no render {vendor_id.strip()}: {error}") from None


def _outcome(after: Purchase, word: AnswerWord) -> str:
    what = f"{after.job_id} shot {after.subject} at {after.backend}"
    if word == "ran":
        beside = "; its shot was bought elsewhere meanwhile, so it stays parked" if after.parked_at else ""
        return f"{what}: runs as {after.vendor_id}; reconcile watches it, pays for it and fetches it{beside}"
    if word == "did_not_run":
        return f"{what}: absent, {dollars(after.hold)} are given back"
    if word == "write_off":
        return f"{what}: written off, {dollars(after.charged or 0)} charged"
    return f"{what}: its file is given up, {dollars(after.charged or 0)} stay charged; the shot may be bought again"


def _parked(purchase: Purchase, ids: list[str]) -> Parked:
    words: tuple[AnswerWord, ...]
    if purchase.state == "unknown":
        why = f"the answer was lost: {purchase.message or 'no reason given'}"
        words = ("ran", "did_not_run", "write_off")
    elif purchase.state == "submitted":
        why = f"{purchase.vendor_id} has not ended in the vendor's longest run"
        words = ("write_off",)
    else:
        why = f"{purchase.vendor_id} is paid and its file does not come home"
        words = ("file_gone",)
    length = _SHORT
    while sum(other.startswith(purchase.purchase_id[:length]) for other in ids) > 1:
        length += 1
    # Printed on somebody's terminal: no control characters.
    prompt = "".join(c for c in " ".join(str(purchase.request.get("prompt", "")).split()) if c.isprintable())
    return Parked(
        purchase=purchase,
        short=purchase.purchase_id[:length],
        prompt=prompt if len(prompt) <= _PROMPT else prompt[: _PROMPT - 1] + "…",
        sent_at=purchase.submitted_at or purchase.created_at,
        since=purchase.parked_at or purchase.closed_at or purchase.updated_at,
        why=why,
        answers=words,
    )
