"""Finishes what nobody watched: expired holds, dead leases, lost answers, renders that ended unseen."""

from __future__ import annotations

import logging

from aiprod.backends import backend, why_not_configured
from aiprod.catalog import Catalog
from aiprod.errors import AiprodError
from aiprod.ledger import Ledger, purchases
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.states import Step
from aiprod.models import Noun
from aiprod.purchasing import drive
from aiprod.storage import Storage

__all__ = ["Reconciled", "reconcile", "release_holds"]

log = logging.getLogger(__name__)


class Reconciled(Noun):
    """What one pass found and changed: one line per purchase that moved or could not."""

    looked_at: int = 0
    moved: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()


def reconcile(ledger: Ledger, catalog: Catalog, storage: Storage) -> Reconciled:
    """Push every open purchase as far as it goes, without ever sending a held one. One trouble never stops the rest."""
    with ledger.read() as conn:
        due = purchases.due(conn, now=database_now(conn))
    moved: list[str] = []
    troubles: list[str] = []
    for purchase in due:
        what = f"{purchase.job_id} shot {purchase.subject} at {purchase.backend}"
        try:
            if purchase.state == "held":
                with ledger.write() as conn:
                    if purchases.release(conn, purchase.purchase_id, Step.EXPIRE, catalog=catalog, now=database_now(conn)):
                        moved.append(f"{what}: held → expired")
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
    return Reconciled(looked_at=len(due), moved=tuple(moved), troubles=tuple(troubles))


def release_holds(ledger: Ledger, catalog: Catalog, job_id: str, version: int) -> int:
    """Give back what a job holds and never sent; return how many holds. What was sent stays watched by `reconcile`."""
    released = 0
    with ledger.write() as conn:
        now = database_now(conn)
        for purchase in purchases.of_job(conn, job_id, version):
            if purchase.state == "held":
                released += purchases.release(conn, purchase.purchase_id, Step.VOID, catalog=catalog, now=now)
    return released
