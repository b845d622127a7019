"""A job changed by people: its manifest before money is approved, its shots made again after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field, ValidationError

from aiprod.budgets import approval_is_automatic, envelope_amount
from aiprod.catalog import Catalog
from aiprod.errors import JobMoved, SpecError
from aiprod.estimating import NO_LIMIT, makers, price_shots
from aiprod.ledger import Connection, Ledger, approvals, erasures, job_status, jobs, parked, purchases, results
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.jobs import Entry, Priced
from aiprod.ledger.purchases import Purchase
from aiprod.ledger.results import Reuse
from aiprod.ledger.schema import OPEN
from aiprod.models import (
    BEFORE_MONEY,
    MAX_SHOTS,
    REDOABLE,
    AspectRatio,
    Estimate,
    JobStatus,
    Manifest,
    Micros,
    Noun,
    Shot,
    ShotSpec,
    Style,
    refused,
)
from aiprod.ordering import budget_left
from aiprod.planning import changes, plan, preset_of
from aiprod.reusing import LOOK, takes_again
from aiprod.views import Edited

__all__ = [
    "Base", "Edited", "ManifestEdit", "Repriced", "at_todays_price", "changes", "edit", "price_of", "redo", "reprice",
    "unsettled", "write",
]  # fmt: skip


class ManifestEdit(Noun):
    """A manifest as somebody wants it: the whole shot list; what else is None stays as it is."""

    shots: Annotated[tuple[ShotSpec, ...], Field(min_length=1, max_length=MAX_SHOTS)]
    audio_style: Style | None = None
    aspect_ratio: AspectRatio | None = None
    audio: bool | None = None

    @classmethod
    def parse(cls, raw: object) -> ManifestEdit:
        """Return the edit, or raise `SpecError` with one plain line per field."""
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            raise refused(raw, error) from None


@dataclass(frozen=True)
class Base:
    """What a change starts from: the newest version, the takes it can go on using, and the job's money in micro-dollars."""

    entry: Entry
    manifest: Manifest
    estimate: Estimate
    #: By shot; `saved` is what a take was bought for.
    takes: Mapping[int, Reuse]
    left: Micros
    now: datetime


def edit(ledger: Ledger, catalog: Catalog, job_id: str, change: ManifestEdit, *, base_version: int, by: str) -> Edited:
    """Write a new manifest version, priced at once. It has to be approved anew.

    Raises `SpecError` where nobody could make it, `JobUnknown`, and `JobMoved` when `base_version` is not the newest
    or the money is already approved, refused or spent.
    """
    _, draft = _drafted(ledger, catalog, job_id, change, base_version)
    if not draft.changes:
        raise SpecError(["shots: nothing is changed"])
    with ledger.write() as conn:
        _editable(conn, catalog, job_id, base_version)
        write(conn, draft.manifest, draft.estimate, draft.backends, draft.kept, by=by, now=database_now(conn))
        jobs.move_runs(conn, job_id, base_version, draft.manifest.version)
    return Edited(
        job_id=job_id, version=draft.manifest.version, manifest=draft.manifest, estimate=draft.estimate, changes=draft.changes
    )


class Repriced(Noun):
    """What an edit would change, before it is saved. `before` and `after` are estimates; `amount` would have to be approved,
    by a person unless `automatic`; `asked` is what is asked about now. Amounts in micro-dollars.
    """

    before: Estimate
    after: Estimate
    asked: Micros
    amount: Micros
    automatic: bool
    changes: tuple[str, ...]


def reprice(ledger: Ledger, catalog: Catalog, job_id: str, change: ManifestEdit, *, base_version: int) -> Repriced:
    """Return what `edit` would come to, and write nothing. Raises as `edit` does, but for an edit that changes nothing."""
    base, draft = _drafted(ledger, catalog, job_id, change, base_version)
    after = draft.estimate if draft.changes else base.estimate
    amount = envelope_amount(base.left, after.worst_case)
    return Repriced(
        before=base.estimate,
        after=after,
        asked=envelope_amount(base.left, base.estimate.worst_case),
        amount=amount,
        automatic=approval_is_automatic(preset_of(base.entry.spec, catalog), amount),
        changes=draft.changes,
    )


@dataclass(frozen=True)
class _Draft:
    """A next version that is not written yet."""

    manifest: Manifest
    estimate: Estimate
    backends: tuple[str, ...]
    kept: Sequence[Reuse]
    changes: tuple[str, ...]


def _drafted(ledger: Ledger, catalog: Catalog, job_id: str, change: ManifestEdit, base_version: int) -> tuple[Base, _Draft]:
    """What an edit starts from, and what it would come to."""
    with ledger.read() as conn:
        base = _editable(conn, catalog, job_id, base_version)
    words = {name: value for name, value in change.model_dump(exclude={"shots"}).items() if value is not None}
    manifest = _planned(base, change.shots, catalog, words)
    kept = _still_right(base, manifest)
    # Outside the transaction, as an order is: who can be bought from may have to be asked of Airflow.
    estimate, names = price_of(catalog, base, manifest, kept)
    return base, _Draft(manifest, estimate, names, kept, changes(base.manifest, manifest))


def _editable(conn: Connection, catalog: Catalog, job_id: str, base_version: int) -> Base:
    """The version to edit. Raises `JobUnknown`, and `JobMoved` once a word on its money was said."""
    base = _newest(conn, job_id, base_version)
    status = job_status.status_of(conn, job_id)
    # What was approved with its campaign waits for a run, and is bought as it was approved.
    approved = approvals.envelope(conn, job_id, base_version) is not None and status is not JobStatus.WAITING_APPROVAL
    if status not in BEFORE_MONEY or approved:
        raise JobMoved(f"job {job_id} is {'approved' if approved else status}; its manifest cannot be edited any more")
    entry, left = jobs.entry(conn, job_id), budget_left(conn, catalog, job_id)
    return Base(entry, base.manifest, base.estimate, results.reuses_of(conn, job_id, base_version), left, database_now(conn))


def _still_right(base: Base, new: Manifest) -> list[Reuse]:
    """An edited redo goes on using the takes of shots that stay as they were."""
    if any(getattr(base.manifest, name) != getattr(new, name) for name in LOOK):
        return []
    return [base.takes[shot.index] for shot in new.shots if shot in base.manifest.shots and shot.index in base.takes]


def redo(
    ledger: Ledger,
    catalog: Catalog,
    job_id: str,
    *,
    shots: Sequence[int],
    change: Mapping[int, ShotSpec] | None = None,
    base_version: int,
    by: str,
) -> Edited:
    """Write a new version of a job that is over, in which only some shots are made again.

    Accepted takes of the other shots are used again and cost nothing; the named shots, and those without an accepted
    take, are priced, and bought once somebody approved. Raises `SpecError`, `JobUnknown`, and `JobMoved` when
    `base_version` is not the newest, or the job is not over, was cancelled or erased, or still has a render running.
    """
    change = change or {}
    with ledger.read() as conn:
        base = _over(conn, catalog, job_id, base_version, shots)
    _require_named(base.manifest, shots, change)
    listed = [change.get(shot.index) or _spec_of(shot) for shot in base.manifest.shots]
    manifest = _planned(base, listed, catalog, {})
    again = [take for index, take in base.takes.items() if index not in shots]
    kept = [at_todays_price(catalog, base, manifest, take) for take in again]
    bought = [shot.index for shot in manifest.shots if shot.index not in {take.shot for take in kept}]
    estimate, names = price_of(catalog, base, manifest, kept)
    with ledger.write() as conn:
        _over(conn, catalog, job_id, base_version, shots)
        write(conn, manifest, estimate, names, kept, by=by, now=database_now(conn))
    told = (*changes(base.manifest, manifest), *(f"Shot {index} is made again." for index in bought))
    return Edited(job_id=job_id, version=manifest.version, manifest=manifest, estimate=estimate, changes=told)


def _over(conn: Connection, catalog: Catalog, job_id: str, base_version: int, shots: Sequence[int]) -> Base:
    """The version of which shots are made again. Raises `JobUnknown` and `JobMoved`."""
    base, entry = _newest(conn, job_id, base_version), jobs.entry(conn, job_id)
    status = str(job_status.status_of(conn, job_id))
    for stands, so in (("cancelled", entry.cancelled_at is not None), ("erased", erasures.of_job(conn, job_id) is not None)):
        status = stands if so else status
    if status not in REDOABLE:
        raise JobMoved(f"job {job_id} is {status}; its shots cannot be made again")
    made = [p for version in jobs.versions(conn, job_id) for p in purchases.of_job(conn, job_id, version)]
    takes = results.reusable(conn, job_id, base_version)
    for p, why in unsettled(conn, job_id, made):
        # A live render may still become a take; a parked one may be the very shot, paid for twice.
        if p.live or ((p.state in OPEN or p.version == base_version) and (p.shot in shots or p.shot not in takes)):
            then = "make it again when that is over" if p.state in OPEN else "clear its run first"
            raise JobMoved(f"job {job_id} shot {p.shot} {why}; {then}")
    left = budget_left(conn, catalog, job_id)
    return Base(entry, base.manifest, base.estimate, takes_again(conn, base.manifest), left, database_now(conn))


def unsettled(conn: Connection, job_id: str, made: Sequence[Purchase]) -> Iterator[tuple[Purchase, str]]:
    """Yield those of a job's renders of which it is not known yet what came of them, and how they stand."""
    judged = {one.take.take_id for version in {p.version for p in made} for one in results.judged(conn, job_id, version)}
    for p in made:
        if p.state in OPEN:
            what = "waits for a person's word" if p.state == "unknown" and not p.live else f"is {p.state}"
            yield p, f"at {p.backend} {what}"
        elif p.state == "succeeded" and p.purchase_id not in judged and not parked.given_up(conn, p.purchase_id):
            yield p, f"is paid at {p.backend} and not judged yet"


def at_todays_price(catalog: Catalog, base: Base, manifest: Manifest, again: Reuse) -> Reuse:
    """What using a take again saves: the price its shot has now, or what it was bought for where nobody could make it."""
    alone = manifest.model_copy(update={"shots": (manifest.shot(again.shot),)})
    try:
        estimate, _ = price_shots(alone, base.entry.spec, catalog, budget=NO_LIMIT, now=base.now)
    except SpecError:
        return again
    return again.model_copy(update={"saved": estimate.expected})


def _require_named(manifest: Manifest, shots: Sequence[int], change: Mapping[int, ShotSpec]) -> None:
    known = {shot.index for shot in manifest.shots}
    problems = [f"shots: there is no shot {index}" for index in shots if index not in known]
    problems += [f"changes.{index}: shot {index} is not made again" for index in change if index not in shots]
    if not shots:
        problems.append("shots: say which shots to make again")
    if problems:
        raise SpecError(problems)


def _newest(conn: Connection, job_id: str, base_version: int) -> Priced:
    newest = jobs.latest(conn, job_id)
    if newest != base_version:
        raise JobMoved(f"job {job_id} is at version {newest}; the change was made on version {base_version}")
    return jobs.priced(conn, job_id, newest)


def _spec_of(shot: Shot) -> ShotSpec:
    return ShotSpec.model_construct(**shot.model_dump(exclude={"index"}))


def _planned(base: Base, shots: Sequence[ShotSpec], catalog: Catalog, words: Mapping[str, object]) -> Manifest:
    """The next version: the shots as they are listed, all else as the version before has it unless `words` say so."""
    stays = {name: getattr(base.manifest, name) for name in LOOK}
    listed = {"prompt": None, "seconds": None, "shots": tuple(shots)}
    asked = base.entry.spec.model_copy(update={**listed, **stays, **words})
    return plan(base.manifest.job_id, asked, catalog, makers(asked, catalog), version=base.manifest.version + 1)


def price_of(catalog: Catalog, base: Base, manifest: Manifest, kept: Sequence[Reuse]) -> tuple[Estimate, tuple[str, ...]]:
    """The price of what has to be bought: every shot but those that use a take again."""
    again = {reuse.shot for reuse in kept}
    to_buy = manifest.model_copy(update={"shots": tuple(shot for shot in manifest.shots if shot.index not in again)})
    return price_shots(to_buy, base.entry.spec, catalog, budget=base.left, now=base.now)


def write(
    conn: Connection,
    manifest: Manifest,
    estimate: Estimate,
    names: Sequence[str],
    kept: Sequence[Reuse],
    *,
    by: str,
    now: datetime,
) -> None:
    """Write the version with what it uses again, once. Raises `JobMoved` when somebody else's is there already."""
    # Nobody waits here for who changes the same version at the same moment: the second finds it written.
    if not jobs.write_manifest(conn, manifest, estimate, names, by=by, now=now):
        raise JobMoved(f"job {manifest.job_id} was changed by somebody else at the same moment")
    for again in kept:
        results.reuse(conn, manifest.job_id, manifest.version, again)
