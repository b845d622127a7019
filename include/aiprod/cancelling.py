"""What is not wanted any more: holds that are given back, and renders that their vendors are asked to stop."""

from __future__ import annotations

from collections.abc import Sequence

from aiprod import purchasing
from aiprod.backends import backend, why_not_configured
from aiprod.catalog import Catalog
from aiprod.errors import JobMoved
from aiprod.ledger import Connection, Ledger, gates, job_status, jobs, purchases, queue
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.purchases import Purchase
from aiprod.ledger.states import Step
from aiprod.models import JobStatus, Micros, Noun

__all__ = ["Cancelled", "cancel_job", "release_holds", "stop"]


class Cancelled(Noun):
    """What cancelling a job came to: `money` in micro-dollars was held and is given back; one line per render that ran."""

    #: Whether nobody had cancelled it before.
    fresh: bool
    holds: int
    money: Micros
    renders: tuple[str, ...]


def cancel_job(ledger: Ledger, catalog: Catalog, job_id: str, *, by: str) -> Cancelled:
    """Hold and send nothing more for a job, and ask every vendor that renders for it to stop.

    Raises `JobUnknown`, and `JobMoved` for a job that is delivered: there is nothing left to cancel.
    """
    with ledger.write() as conn:
        if job_status.status_of(conn, job_id) is JobStatus.DELIVERED:
            raise JobMoved(f"job {job_id} is delivered; there is nothing left to cancel")
        now = database_now(conn)
        fresh = gates.cancel_job(conn, job_id, by=by, now=now)
        queue.take(conn, job_id, now=now)
        made = [p for version in jobs.versions(conn, job_id) for p in _bought(conn, job_id, version)]
    versions = {p.version for p in made if p.state == "held"}
    released = [hold for version in versions for hold in release_holds(ledger, catalog, job_id, version)]
    renders = tuple(_stopped(ledger, catalog, p, by=by) for p in made if p.state == "submitted")
    return Cancelled(fresh=fresh, holds=len(released), money=sum(released), renders=renders)


def stop(ledger: Ledger, catalog: Catalog, name: str, vendor_ids: Sequence[str], *, by: str) -> list[str]:
    """Ask a backend to stop renders, named by its own ids; return what became of each, in one line."""
    with ledger.read() as conn:
        running = purchases.running(conn, name, vendor_ids)
    return [_stopped(ledger, catalog, purchase, by=by) for purchase in running]


def _stopped(ledger: Ledger, catalog: Catalog, purchase: Purchase, *, by: str) -> str:
    missing = why_not_configured(catalog, purchase.backend)
    if missing:
        return f"{purchase.job_id} shot {purchase.subject}: not stopped, {purchase.backend} is {missing}"
    return purchasing.cancel(ledger, catalog, backend(catalog, purchase.backend), purchase.purchase_id, by=by)


def release_holds(ledger: Ledger, catalog: Catalog, job_id: str, version: int) -> list[Micros]:
    """Give back what a job holds and never sent; return how much each hold was. What was sent stays watched by `reconcile`.

    A hold that somebody claimed in the same moment is not given back, and not counted.
    """
    released = []
    with ledger.write() as conn:
        now = database_now(conn)
        for purchase in _bought(conn, job_id, version):
            if purchase.state == "held" and purchases.release(conn, purchase.purchase_id, Step.VOID, catalog=catalog, now=now):
                released.append(purchase.hold)
    return released


def _bought(conn: Connection, job_id: str, version: int) -> list[Purchase]:
    """Renders and judgements."""
    return purchases.of_job(conn, job_id, version, kind=None)
