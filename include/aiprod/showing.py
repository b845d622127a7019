"""The shots of a job as people watch them: what was tried for each, how far it is, what it scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiprod.ledger import Connection, results, sightings
from aiprod.ledger.purchases import Purchase
from aiprod.ledger.results import Judged, Reuse
from aiprod.ledger.schema import OPEN
from aiprod.ledger.sightings import Sighting
from aiprod.models import Manifest, Shot, Verdict
from aiprod.views import AttemptView, ShotView

__all__ = ["shots_of"]


def shots_of(conn: Connection, manifest: Manifest, bought: Sequence[Purchase]) -> tuple[ShotView, ...]:
    """Return every shot of a manifest version. `bought` are the purchases of the job in all its versions.

    A shot that uses a take of an earlier version shows the attempt that made it; what that cost is the earlier one's.
    """
    job_id, version = manifest.job_id, manifest.version
    judged = {j.take.take_id: j for j in results.judged(conn, job_id, version)}
    waiting = {take.take_id for take in results.unjudged(conn, job_id, version)}
    again = results.reuses_of(conn, job_id, version)
    usable = results.reusable(conn, job_id, version)
    seen = sightings.of_job(conn, job_id)
    views = []
    for shot in manifest.shots:
        reused = again.get(shot.index)
        mine = [p for p in bought if _is_for(p, shot, version, reused, judged)]
        attempts = tuple(_attempt(p, seen, judged, waiting) for p in mine)
        chosen = usable.get(shot.index)
        views.append(
            ShotView(
                shot=shot.index,
                prompt=shot.prompt,
                seconds=shot.seconds,
                camera=shot.camera,
                status=_status(mine, reused, chosen, judged, waiting),
                progress=next((a.progress for a in reversed(attempts) if a.state == "submitted" and not a.parked), None),
                take_id=chosen.take.take_id if chosen else None,
                reused_from=_bought_in(bought, reused),
                attempts=attempts,
            )
        )
    return tuple(views)


def _is_for(purchase: Purchase, shot: Shot, version: int, reused: Reuse | None, judged: Mapping[str, Judged]) -> bool:
    """Whether a purchase is an attempt at a shot, or judged one of its takes."""
    if reused is not None and reused.take_id in (purchase.purchase_id, purchase.subject):
        return True
    if purchase.version != version:
        return False
    if purchase.kind == "render":
        return purchase.shot == shot.index
    return purchase.subject in judged and judged[purchase.subject].take.shot == shot.index


def _bought_in(bought: Sequence[Purchase], reused: Reuse | None) -> int | None:
    return None if reused is None else next((p.version for p in bought if p.purchase_id == reused.take_id), None)


def _status(
    mine: Sequence[Purchase], reused: Reuse | None, chosen: Judged | None, judged: Mapping[str, Judged], waiting: set[str]
) -> str:
    """One word on where a shot is; `views.ShotView` lists them."""
    renders = [p for p in mine if p.kind == "render"]
    if reused is not None:
        return "reused"
    if chosen is not None:
        return "accepted" if chosen.verdict is Verdict.ACCEPTED else "needs_person"
    if any(p.live for p in renders):
        return "rendering"
    if any(p.state == "succeeded" and (p.purchase_id in waiting or p.purchase_id not in judged) for p in renders):
        return "judging"
    if any(p.purchase_id in judged for p in renders):
        return "rejected"
    return "failed" if renders else "waiting"


def _attempt(
    purchase: Purchase, seen: Mapping[tuple[str, str], Sighting], judged: Mapping[str, Judged], waiting: set[str]
) -> AttemptView:
    sighting = seen.get((purchase.backend, purchase.vendor_id or ""))
    of_take = judged.get(purchase.purchase_id)
    report = of_take.report if of_take else None
    same = set(AttemptView.model_fields) & set(Purchase.model_fields)
    return AttemptView(
        progress=sighting.progress if sighting else None,
        seen_at=sighting.seen_at if sighting else None,
        parked=purchase.parked_at is not None and purchase.state in OPEN,
        take_id=purchase.purchase_id if of_take or purchase.purchase_id in waiting else None,
        verdict=of_take.verdict if of_take else None,
        technical=report.technical if report else None,
        semantic=report.semantic if report else None,
        quality=report.quality if report else None,
        findings=report.findings if report else (),
        **purchase.model_dump(include=same),
    )
