"""Takes that stand for shots nobody has to buy: an identical shot's of the same job, or of another job of its project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from aiprod.catalog import Catalog
from aiprod.ledger import Connection, Ledger, jobs, purchases, results, reuses
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.results import Reuse
from aiprod.ledger.reuses import Elsewhere
from aiprod.models import JobSpec, Manifest, Micros, RenderRequest, Verdict
from aiprod.planning import floor_of
from aiprod.pricing import NotCapable, legal_request, quote

__all__ = ["LOOK", "adopt", "made_elsewhere", "takes_again"]

#: What a change can alter in every shot at once.
LOOK = ("aspect_ratio", "audio", "audio_style")


class _Wanted(NamedTuple):
    """What a backend would be asked for a shot, and what it would cost now, in micro-dollars."""

    shot: int
    request: RenderRequest
    cost: Micros


def adopt(ledger: Ledger, catalog: Catalog, job_id: str, version: int, backends: Sequence[str] = ()) -> list[int]:
    """Let shots without a take use an identical one; return those that do now. Costs nothing and asks no vendor.

    Identical is what would be asked for in the very same words, with a seed that the order chose: who leaves the seed open
    gets a picture of their own. Of the same version any take that was not rejected; of other jobs of the same project, at
    one of the `backends`, an accepted one that this order's rules would have accepted too.
    """
    with ledger.read() as conn:
        spec, manifest = jobs.spec(conn, job_id), jobs.priced(conn, job_id, version).manifest
        now = database_now(conn)
        found = _of_twins(conn, manifest)
        wanting = _wanted(conn, catalog, manifest, backends, found, now=now)
        seeds = [wanted.request.seed for wanted in wanting]
        takes = reuses.accepted(conn, spec.project, seeds, not_of=job_id) if wanting else []
        for wanted in wanting:
            fitting = (one for one in takes if _same(one, wanted) and _good_enough(conn, catalog, spec, one))
            if wanted.shot not in found and (one := next(fitting, None)) is not None:
                found[wanted.shot] = Reuse(shot=wanted.shot, take_id=one.purchase_id, saved=wanted.cost)
    return _written(ledger, job_id, version, found) if found else []


def takes_again(conn: Connection, newest: Manifest) -> dict[int, Reuse]:
    """What can be used again for the shots of the newest version: its own takes, then those that earlier ones have of the
    very same shots. A redo that was refused or failed loses none of them.
    """
    found: dict[int, Reuse] = {}
    for version in reversed(jobs.versions(conn, newest.job_id)):
        older = jobs.priced(conn, newest.job_id, version).manifest
        if any(getattr(older, name) != getattr(newest, name) for name in (*LOOK, "resolution")):
            continue
        for index, judged in results.reusable(conn, newest.job_id, version).items():
            bought = purchases.get(conn, judged.take.take_id)
            same = [shot for shot in newest.shots if shot.index == index] == [older.shot(index)]
            if bought is not None and same and index not in found:
                found[index] = Reuse(shot=index, take_id=bought.purchase_id, saved=bought.hold)
    return found


def made_elsewhere(
    conn: Connection, catalog: Catalog, manifest: Manifest, shot: int, backends: Sequence[str], *, now: datetime
) -> str | None:
    """Return the other job of the project that is having this very shot made now, under rules as strict; None where none is."""
    spec = jobs.spec(conn, manifest.job_id)
    wanting = _wanted(conn, catalog, manifest, backends, {}, only=shot, now=now)
    seeds = [wanted.request.seed for wanted in wanting]
    for one in reuses.in_flight(conn, spec.project, seeds, not_of=manifest.job_id) if wanting else []:
        if any(_same(one, wanted) for wanted in wanting) and _rules_as_strict(catalog, spec, one.spec):
            return one.job_id
    return None


def _of_twins(conn: Connection, manifest: Manifest) -> dict[int, Reuse]:
    """Shots without a take whose twin in the manifest has one, bought for this very version: a redo wants a new one."""
    job_id, version = manifest.job_id, manifest.version
    good = [j.take for j in results.judged(conn, job_id, version) if j.verdict is not Verdict.REJECTED]
    has = {take.shot for take in good}
    bought = {take.shot: take for take in good if (take.job_id, take.version) == (job_id, version)}
    found = {}
    for shot in (one.index for one in manifest.shots if one.index not in has):
        take = next((bought[twin] for twin in manifest.twins(shot) if twin in bought), None)
        purchase = None if take is None else purchases.get(conn, take.take_id)
        if purchase is not None:
            found[shot] = Reuse(shot=shot, take_id=purchase.purchase_id, saved=purchase.hold)
    return found


def _wanted(
    conn: Connection,
    catalog: Catalog,
    manifest: Manifest,
    backends: Sequence[str],
    found: Mapping[int, Reuse],
    *,
    only: int | None = None,
    now: datetime,
) -> list[_Wanted]:
    """What would be asked for the shots that another job's take could stand for: with a seed, and from no image, since what
    stands at an address may have changed. Nothing in a redo: it is for a picture that is made again.
    """
    job_id, version = manifest.job_id, manifest.version
    if any(purchases.of_job(conn, job_id, before) for before in jobs.versions(conn, job_id) if before < version):
        return []
    has = {j.take.shot for j in results.judged(conn, job_id, version) if j.verdict is not Verdict.REJECTED}
    wanted = []
    for shot in (one for one in manifest.shots if one.seed is not None and one.reference_image_url is None):
        if shot.index in has or shot.index in found or only not in (None, shot.index):
            continue
        for name in (of for of in backends if not catalog.backends[of].embedded):
            try:
                request = legal_request(name, catalog.backends[name], manifest, shot)
                wanted.append(_Wanted(shot.index, request, quote(catalog.prices, request, now.date())))
            except NotCapable:
                continue
    return wanted


def _same(one: Elsewhere, wanted: _Wanted) -> bool:
    return one.request.address == wanted.request.address


def _good_enough(conn: Connection, catalog: Catalog, spec: JobSpec, one: Elsewhere) -> bool:
    """Whether this order's own rules would have accepted a take that another order's did."""
    if one.report is None or one.report.vetoed or one.report.thresholds != catalog.quality.version:
        return False
    choice = jobs.choices(conn, [one.purchase_id]).get(one.purchase_id)
    return not (choice is not None and choice.degraded) and _rules_as_strict(catalog, spec, one.spec)


def _rules_as_strict(catalog: Catalog, spec: JobSpec, other: JobSpec) -> bool:
    """Whether what the other order accepts this one would: the same preset, no lower floor, nothing more on purpose."""
    same_floor = other.preset == spec.preset and floor_of(other, catalog) >= floor_of(spec, catalog)
    return same_floor and set(other.allows) <= set(spec.allows)


def _written(ledger: Ledger, job_id: str, version: int, found: Mapping[int, Reuse]) -> list[int]:
    """Write down who uses what, unless the shot is being bought by now, or the take's job was erased."""
    done = []
    with ledger.write() as conn:
        busy = {p.shot for p in purchases.of_job(conn, job_id, version) if p.live}
        for shot, again in sorted(found.items()):
            source = purchases.get(conn, again.take_id)
            if shot in busy or source is None or not reuses.still_there(conn, source.job_id):
                continue
            if results.reuse(conn, job_id, version, again):
                done.append(shot)
    return done
