"""Takes that a job uses again: one stands for identical shots of a version, and a version goes on using earlier ones'."""

from __future__ import annotations

from aiprod.ledger import Connection, Ledger, jobs, purchases, results
from aiprod.ledger.results import Reuse
from aiprod.models import Manifest, Verdict

__all__ = ["LOOK", "adopt", "takes_again"]

#: What a change can alter in every shot at once.
LOOK = ("aspect_ratio", "audio", "audio_style")


def adopt(ledger: Ledger, job_id: str, version: int) -> list[int]:
    """Let shots without a take use that of an identical one; return those that do now. Costs nothing and asks no vendor.

    Identical is what is ordered in the very same words, with a seed that the order chose: who leaves the seed open gets a
    picture of their own. Only takes that were not rejected, and were bought for this very version.
    """
    with ledger.read() as conn:
        found = _of_twins(conn, jobs.priced(conn, job_id, version).manifest)
    if not found:
        return []
    with ledger.write() as conn:
        busy = {p.shot for p in purchases.of_job(conn, job_id, version) if p.live}
        free = [again for shot, again in sorted(found.items()) if shot not in busy]
        return [again.shot for again in free if results.reuse(conn, job_id, version, again)]


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
