"""How jobs stand: one in full, many as rows, and whether anything changed. Only reads."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from aiprod.catalog import Catalog
from aiprod.ledger import Ledger
from aiprod.models import JobStatus
from aiprod.views import JobCosts, JobPage, JobView

__all__ = ["costs_of_job", "listing", "revisions", "view"]


def view(ledger: Ledger, catalog: Catalog, job_id: str) -> JobView:
    """Return everything about a job, read in one transaction. Raises `JobUnknown`."""
    raise NotImplementedError


def listing(
    ledger: Ledger,
    *,
    statuses: Collection[JobStatus] = (),
    project: str | None = None,
    preset: str | None = None,
    campaign: str | None = None,
    created_by: str | None = None,
    text: str = "",
    hidden_projects: Collection[str] = (),
    before: str | None = None,
    limit: int = 50,
) -> JobPage:
    """Return a page of jobs, newest first. `text` is looked for in ids and prompts; `before` is the `next` of a page.

    Raises `SpecError` for a `before` that no page gave.
    """
    raise NotImplementedError


def revisions(ledger: Ledger, job_ids: Sequence[str]) -> dict[str, str]:
    """Return a mark per known job that changes whenever anything in its view would. One round trip."""
    raise NotImplementedError


def costs_of_job(ledger: Ledger, catalog: Catalog, job_id: str) -> JobCosts:
    """Return every purchase of a job in all its versions, and the sums. Raises `JobUnknown`."""
    raise NotImplementedError
