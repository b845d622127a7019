"""Finishes what nobody watched: expired holds, dead leases, lost answers, renders that ended unseen. Then looks at the books."""

from __future__ import annotations

import logging
from datetime import timedelta

from aiprod import erasing, sweeping
from aiprod.backends import backend, why_not_configured
from aiprod.catalog import Catalog
from aiprod.errors import AiprodError
from aiprod.ledger import Ledger, outbox, points, purchases
from aiprod.ledger.audit import audit
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.states import Step
from aiprod.models import Noun, fingerprint
from aiprod.purchasing import drive, settle_judgement
from aiprod.storage import Storage

__all__ = ["Reconciled", "audited", "reconcile"]

log = logging.getLogger(__name__)

#: Events that were delivered are kept for this long.
KEEP_EVENTS = timedelta(days=30)
#: How many go in one transaction, and how many transactions one pass takes: nobody waits for a clean-up.
_PRUNE, _PRUNES = 1_000, 20


class Reconciled(Noun):
    """What one pass found and changed: one line per purchase that moved or could not, and per fault in the books."""

    looked_at: int = 0
    moved: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()
    tidied: tuple[str, ...] = ()


def reconcile(ledger: Ledger, catalog: Catalog, storage: Storage) -> Reconciled:
    """Push every open purchase as far as it goes, without ever sending a held one; tidy up; audit the books.

    One trouble never stops the rest. With nothing to do it reads, and writes nothing.
    """
    with ledger.read() as conn:
        now = database_now(conn)
        due = purchases.due(conn, now=now)
        old = outbox.prunable(conn, before=now - KEEP_EVENTS)
        over = erasing.waiting(conn, catalog, now=now)
    moved: list[str] = []
    troubles: list[str] = []
    for purchase in due:
        of = f"shot {purchase.subject}" if purchase.kind == "render" else f"take {purchase.subject[:8]}"
        what = f"{purchase.job_id} {of} at {purchase.backend}"
        try:
            if purchase.state == "held":
                with ledger.write() as conn:
                    if purchases.release(conn, purchase.purchase_id, Step.EXPIRE, catalog=catalog, now=database_now(conn)):
                        moved.append(f"{what}: held → expired")
                continue
            if purchase.kind == "judge":
                settled = settle_judgement(ledger, catalog, purchase.purchase_id, why="the process that asked died")
                moved.append(f"{what}: {purchase.state} → {settled.state}")
                continue
            missing = why_not_configured(catalog, purchase.backend)
            if missing:
                troubles.append(f"{what}: {purchase.state}, and {purchase.backend} is {missing}")
                continue
            after = drive(ledger, catalog, storage, backend(catalog, purchase.backend), purchase.purchase_id, may_send=False)
            if after.state != purchase.state or purchase.state == "succeeded":
                moved.append(f"{what}: {purchase.state} → {after.state}")
        except Exception as error:
            # Whatever one purchase's vendor, file or configuration does, the next one gets its turn.
            log.warning("%s: %s", what, error, exc_info=not isinstance(error, AiprodError))
            troubles.append(f"{what}: {error}")
    tidied = [f"{_prune(ledger)} delivered events deleted"] if old else []
    tidied += [f"{path} deleted: a process left it behind" for path in sweeping.sweep(now=now)]
    erased, left = erasing.apply_retention(ledger, storage, over)
    tidied, troubles = [*tidied, *erased], [*troubles, *left]
    try:
        troubles += audited(ledger, catalog)
    except Exception as error:
        log.exception("the books could not be audited")
        troubles.append(f"the books could not be audited: {error}")
    return Reconciled(looked_at=len(due), moved=tuple(moved), troubles=tuple(troubles), tidied=tuple(tidied))


def audited(ledger: Ledger, catalog: Catalog) -> list[str]:
    """Return one line per invariant of the books that does not hold; each is told once, as `invariant_broken`."""
    with ledger.read() as conn:
        found = audit(conn, catalog=catalog, now=database_now(conn))
        shown = points.last(conn, "invariants_broken")
    if found or shown:
        with ledger.write() as conn:
            now = database_now(conn)
            if len(found) != shown:
                points.emit(conn, "invariants_broken", len(found), now=now)
            for finding in found:
                key = f"invariant_broken.{fingerprint(str(finding))[:32]}"
                outbox.emit(conn, key, "invariant_broken", now=now, **finding.model_dump())
    return [str(finding) for finding in found]


def _prune(ledger: Ledger) -> int:
    """Delete delivered events that are old, in short transactions; return how many."""
    gone = 0
    for _ in range(_PRUNES):
        with ledger.write() as conn:
            now = database_now(conn)
            batch = outbox.prune(conn, before=now - KEEP_EVENTS, limit=_PRUNE)
        gone += batch
        if batch < _PRUNE:
            break
    return gone
