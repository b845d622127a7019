"""What people do with a job, over one ledger, one catalogue and one storage: look, edit, answer, cancel, make again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

from aiprod import cancelling, delivering, editing, erasing, ordering, reviewing, settings, viewing
from aiprod.cancelling import Cancelled
from aiprod.catalog import Catalog, catalog
from aiprod.editing import Edited, ManifestEdit, Repriced
from aiprod.ledger import Ledger, open_ledger
from aiprod.models import Erasure, JobFilter, Micros, ShotSpec
from aiprod.ordering import Asked, Entered
from aiprod.storage import Storage
from aiprod.views import JobCosts, JobPage, JobView

__all__ = ["Verbs"]


class Verbs:
    """The verbs; ledger, catalogue and storage are opened when first used. `by` is always who is logged in."""

    def __init__(
        self,
        *,
        ledger: Ledger | None = None,
        catalogue: Catalog | None = None,
        open_storage: Callable[[], Storage] | None = None,
    ) -> None:
        self._ledger, self._catalogue = ledger, catalogue
        self._open_storage = open_storage or (lambda: Storage.at(settings.storage_url()))

    @cached_property
    def ledger(self) -> Ledger:
        return self._ledger or open_ledger()

    @cached_property
    def catalog(self) -> Catalog:
        return self._catalogue or catalog()

    @cached_property
    def storage(self) -> Storage:
        return self._open_storage()

    # look
    def view(self, job_id: str) -> JobView:
        """Return everything about a job. Raises `JobUnknown`."""
        return viewing.view(self.ledger, self.catalog, job_id)

    def listing(self, wanted: JobFilter | None = None, *, before: str | None = None, limit: int = 50) -> JobPage:
        """Return a page of the wanted jobs, newest first; see `viewing.listing`."""
        return viewing.listing(self.ledger, wanted, before=before, limit=limit)

    def revisions(self, job_ids: Sequence[str]) -> dict[str, str]:
        """Return a mark per known job that changes whenever its view would."""
        return viewing.revisions(self.ledger, job_ids)

    def costs_of_job(self, job_id: str) -> JobCosts:
        """Return what every purchase of a job was quoted and charged. Raises `JobUnknown`."""
        return viewing.costs_of_job(self.ledger, self.catalog, job_id)

    def result(self, job_id: str) -> dict[str, Any]:
        """Return what became of a job: files, scores, cost in dollars, attempts, and what went wrong."""
        return delivering.result(self.ledger, job_id)

    # order
    def enter(self, raw: Mapping[str, Any], *, job_id: str, by: str | None) -> Entered:
        """Take an order that no run carries yet. Raises `SpecError`, `JobConflict`, and writes nothing then."""
        return ordering.enter(self.ledger, self.catalog, raw, job_id=job_id, run_id=None, by=by)

    # change
    def edit(self, job_id: str, change: ManifestEdit, *, base_version: int, by: str) -> Edited:
        """Write a new manifest version before the money is approved; see `editing.edit`."""
        return editing.edit(self.ledger, self.catalog, job_id, change, base_version=base_version, by=by)

    def reprice(self, job_id: str, change: ManifestEdit, *, base_version: int) -> Repriced:
        """Return what an edit would cost before it is saved; see `editing.reprice`."""
        return editing.reprice(self.ledger, self.catalog, job_id, change, base_version=base_version)

    def redo(
        self, job_id: str, *, shots: Sequence[int], change: Mapping[int, ShotSpec] | None = None, base_version: int, by: str
    ) -> Edited:
        """Make some shots of a job again in a new version; see `editing.redo`. A run has to carry it."""
        return editing.redo(self.ledger, self.catalog, job_id, shots=shots, change=change, base_version=base_version, by=by)

    def cancel(self, job_id: str, *, by: str) -> Cancelled:
        """Hold and send nothing more for a job, and ask its vendors to stop."""
        return cancelling.cancel_job(self.ledger, self.catalog, job_id, by=by)

    def erase(self, job_id: str, *, by: str, why: str) -> Erasure:
        """Delete a job's files and words; what money did stays. Raises `JobFailed` while anything of it is not over."""
        return erasing.erase(self.ledger, self.storage, job_id, by=by, why=why)

    # answer
    def answer_money(
        self, job_id: str, word: Literal["approved", "rejected"], *, version: int, amount: Micros, by: str, why: str = ""
    ) -> Asked:
        """Write down a person's word on the money of one version, as they saw it.

        The same word by the same person again is the same answer. Raises `JobMoved` when version or amount are not
        what they were, or somebody answered before; `SamePerson` where the preset wants another one.
        """
        return ordering.answer_spend(self.ledger, self.catalog, job_id, version, word, by=by, amount=amount, why=why)

    def answer_cut(
        self, job_id: str, word: Literal["accepted", "rejected"], *, version: int, cut_sha: str, by: str, why: str = ""
    ) -> str:
        """Write down a person's word on the finished video they saw; return it. Raises as `answer_money`."""
        return reviewing.answer_cut(self.ledger, self.catalog, job_id, version, word, by=by, cut_sha=cut_sha, why=why)
