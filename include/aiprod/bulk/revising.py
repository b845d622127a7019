"""A row that changed is a new version of its job: what it buys, what it uses again, and why it has to wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiprod.catalog import Catalog
from aiprod.editing import Base, at_todays_price, price_of, unsettled, write
from aiprod.errors import JobMoved
from aiprod.estimating import makers
from aiprod.ledger import Connection, Ledger, jobs, purchases, queue, results
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.results import Reuse
from aiprod.models import Estimate, JobSpec, Manifest, Micros, Shot, Waiting
from aiprod.ordering import approve_for_campaign, budget_left
from aiprod.planning import plan

__all__ = ["Draft", "draft", "enter_version"]

#: What a take shows: two shots for which this is the same can use the same take.
_Look = tuple[str, str, bool, str | None, Shot]


@dataclass(frozen=True)
class _Made:
    """A take that any later version of its job may use; `hold` in micro-dollars is what it was bought for.

    `version` and `shot` are where it was used last.
    """

    version: int
    shot: int
    look: _Look
    take_id: str
    hold: Micros


@dataclass(frozen=True)
class _Rest:
    """A job to which nothing happens now: its newest version, its takes, newest version first, and what is not known yet."""

    base: Base
    made: tuple[_Made, ...]
    unsettled: tuple[tuple[_Look, str], ...]


@dataclass(frozen=True)
class Draft:
    """The next version of a job, priced and not written."""

    rest: _Rest
    manifest: Manifest
    estimate: Estimate
    backends: tuple[str, ...]
    #: Takes that it uses again.
    kept: tuple[Reuse, ...]

    @property
    def most(self) -> Micros:
        """The most it may cost, in micro-dollars: the worst case, or what the job's own budget has left."""
        return min(self.rest.base.left, self.estimate.worst_case)


def draft(ledger: Ledger, catalog: Catalog, job_id: str, order: JobSpec) -> Draft:
    """Return a job's next version as `order` has it, whose terms have to be the job's own. Writes nothing.

    Takes of shots that are again as they were are used again, whichever version bought them. Raises `JobMoved` while
    something of the job is under way, and `SpecError` where nobody could make it or the job's budget cannot pay for it.
    """
    with ledger.read() as conn:
        rest = _at_rest(conn, catalog, job_id)
    base = rest.base
    manifest = plan(job_id, order, catalog, makers(order, catalog), version=base.manifest.version + 1)
    kept = tuple(at_todays_price(catalog, base, manifest, again) for again in _again(manifest, rest.made))
    bought = {_look(manifest, shot) for shot in manifest.shots if shot.index not in {again.shot for again in kept}}
    for look, why in rest.unsettled:
        # It may be the very clip that would be bought here.
        if look in bought:
            raise JobMoved(f"job {job_id}: {why}")
    estimate, names = price_of(catalog, base, manifest, kept)
    return Draft(rest, manifest, estimate, names, kept)


def enter_version(
    conn: Connection,
    catalog: Catalog,
    wanted: Draft,
    *,
    campaign: str,
    by: str,
    ordered_by: str | None,
    valid: timedelta,
    now: datetime,
) -> None:
    """Write a drafted version, approve it with its campaign by `by`, and let its job wait for a run.

    Raises `JobMoved` when the job is not any more as it was when the version was drafted.
    """
    job_id, version = wanted.manifest.job_id, wanted.manifest.version
    rest, seen = _at_rest(conn, catalog, job_id), wanted.rest
    if (rest.base.manifest, rest.made, rest.unsettled) != (seen.base.manifest, seen.made, seen.unsettled):
        raise JobMoved(f"job {job_id} went on in the same moment")
    write(conn, wanted.manifest, wanted.estimate, wanted.backends, wanted.kept, by=ordered_by or by, now=now)
    approve_for_campaign(conn, catalog, job_id, version, by=by, expires_at=now + valid, now=now)
    message = f"waits for a run of campaign {campaign}"
    queue.put(conn, Waiting(job_id=job_id, version=version, reason="campaign", message=message, due_at=now, since=now))


def _at_rest(conn: Connection, catalog: Catalog, job_id: str) -> _Rest:
    """Return how a job stands. Raises `JobMoved` while a run carries it or a vendor renders for it."""
    now = database_now(conn)
    if any(run.settled_at is None and run.started_at > now - queue.ABANDONED for run in jobs.runs_of(conn, job_id)):
        raise JobMoved(f"job {job_id} is being made")
    written = {n: jobs.priced(conn, job_id, n) for n in jobs.versions(conn, job_id)}
    manifests = {n: one.manifest for n, one in written.items()}
    bought = [p for n in manifests for p in purchases.of_job(conn, job_id, n)]
    if any(p.live for p in bought):
        raise JobMoved(f"job {job_id} is being made")
    made: dict[str, _Made] = {}
    for n in sorted(manifests, reverse=True):
        for index, one in sorted(results.reusable(conn, job_id, n).items()):
            source = purchases.get(conn, one.take.take_id)
            if source is not None:
                look = _look(manifests[n], manifests[n].shot(index))
                made.setdefault(source.purchase_id, _Made(n, index, look, source.purchase_id, source.hold))
    loose = tuple(
        (_look(manifests[p.version], manifests[p.version].shot(p.shot)), f"shot {p.shot} {why}")
        for p, why in unsettled(conn, job_id, bought)
    )
    newest, left = written[max(written)], budget_left(conn, catalog, job_id)
    return _Rest(Base(jobs.entry(conn, job_id), newest.manifest, newest.estimate, {}, left, now), tuple(made.values()), loose)


def _look(manifest: Manifest, shot: Shot) -> _Look:
    anywhere = shot.model_copy(update={"index": 0})
    return manifest.aspect_ratio, manifest.resolution, manifest.audio, manifest.audio_style, anywhere


def _again(manifest: Manifest, made: Sequence[_Made]) -> list[Reuse]:
    """Which take each shot uses again: one that shows the same, its own first. None for two shots, but where the order chose
    the seed: those are one clip, as the newest version that shows it has it.
    """
    left = list(made)
    found = []
    for shot in manifest.shots:
        fitting = [one for one in made if one.look == _look(manifest, shot)]
        if shot.seed is not None:
            fitting = [one for one in fitting if one.version == fitting[0].version]
        free = [one for one in fitting if one in left] or (fitting if shot.seed is not None else [])
        if free:
            take = ([one for one in free if one.shot == shot.index] or free)[0]
            left = [one for one in left if one != take]
            found.append(Reuse(shot=shot.index, take_id=take.take_id, saved=take.hold))
    return found
