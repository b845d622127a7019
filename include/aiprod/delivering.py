"""From an assembled video to a delivery: published once, with everything that was bought for it."""

from __future__ import annotations

import hashlib
import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from aiprod import reporting
from aiprod.catalog import Catalog, DeliveryRules
from aiprod.errors import JobFailed
from aiprod.finishing import Review, review_job
from aiprod.ledger import Connection, Ledger, approvals, jobs, outbox, purchases, queue, results
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.results import Cut, Judged
from aiprod.models import USD, Delivery, Manifest, StoredFile, fingerprint
from aiprod.provenance import Claim, Origin, sign, why_not_signed
from aiprod.storage import Storage

__all__ = ["deliver_job", "delivered_by", "result"]


def deliver_job(ledger: Ledger, catalog: Catalog, storage: Storage, job_id: str, version: int) -> Delivery:
    """Publish the finished video under its own name with everything that goes with it, once.

    Raises `JobFailed` when there is no cut, when a person has to look at it first and has not accepted it, or when it must be
    signed and cannot be.
    """
    with ledger.read() as conn:
        done = results.delivery(conn, job_id, version)
        made = results.cut(conn, job_id, version)
    if done is not None:
        return done
    if made is None:
        raise JobFailed(f"job {job_id} version {version} has no assembled video")
    review = review_job(ledger, catalog, job_id, version)
    if review.cut_sha != made.video.sha256:
        raise JobFailed(f"job {job_id} was cut again meanwhile; clear `review` to look at the new cut")
    if review.answer == "rejected":
        raise JobFailed(f"job {job_id} was looked at and rejected")
    if review.reasons and review.answer is None:
        raise JobFailed(f"job {job_id} waits for a person: {'; '.join(review.reasons)}")
    with ledger.read() as conn:
        spec, manifest = jobs.spec(conn, job_id), jobs.priced(conn, job_id, version).manifest
        document, summary = _final_manifest(conn, catalog, made, job_id, version, review)
        origins = _origins(conn, catalog, made)
    rules = catalog.delivery.of(spec.preset)
    stem = rules.stem(project=spec.project, job_id=job_id, version=version)
    unsigned = why_not_signed(rules)
    document["provenance"] = {"signed": not unsigned, "why_not": unsigned}
    with ExitStack() as open_files:
        video = open_files.enter_context(storage.local(made.video.path))
        if not unsigned:
            scratch = Path(open_files.enter_context(tempfile.TemporaryDirectory()))
            # Last of all: whatever changes the file afterwards breaks the signature.
            sign(video, scratch / "signed.mp4", Claim.of(manifest, origins, title=f"{stem}.mp4"))
            video = scratch / "signed.mp4"
        files = _published(storage, rules, made, manifest, video, document, f"{job_id}/v{version}", stem)
    told: dict[str, Any] = {**files, **summary}
    delivery = Delivery(job_id=job_id, version=version, signed=not unsigned, **told)
    with ledger.write() as conn:
        if results.deliver(conn, delivery, now=database_now(conn)):
            _tell(conn, delivery)
        return results.delivery(conn, job_id, version) or delivery


def _published(
    storage: Storage,
    rules: DeliveryRules,
    made: Cut,
    manifest: Manifest,
    video: Path,
    document: dict[str, Any],
    folder: str,
    stem: str,
) -> dict[str, StoredFile]:
    """Keep every file of a delivery under its own name; return them as `Delivery` calls them."""
    with video.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    # A folder of its own content: who was killed here before, or publishes at the same time, left other files alone.
    place = f"{folder}/delivery-{fingerprint([digest, document])[:8]}/{stem}"
    files = {"video": storage.keep(video, f"{place}.{rules.container}")}
    stills = (("poster", made.poster, "-poster.jpg"), ("contact_sheet", made.contact_sheet, "-contact-sheet.jpg"))
    for role, kept, ending in stills:
        with storage.local(kept.path) as file:
            files[role] = storage.keep(file, place + ending)
    if rules.captions:
        # Only here: it comes with what encodes video.
        from aiprod.assembly import captions

        cues = captions((shot.prompt, shot.seconds) for shot in manifest.shots)
        files["captions"] = storage.keep_text(cues, f"{place}.vtt")
    document["files"] = {Path(file.path).name: file.model_dump() for file in files.values()}
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    files["manifest"] = storage.keep_text(text, f"{place}-manifest.json")
    # As `sha256sum --check` reads it.
    sums = "".join(f"{file.sha256}  {Path(file.path).name}\n" for file in files.values())
    return files | {"checksums": storage.keep_text(sums, f"{place}.sha256")}


def _origins(conn: Connection, catalog: Catalog, made: Cut) -> list[Origin]:
    """Who made each shot of a cut, in order, whichever version of the job bought it."""
    bought = [purchases.get(conn, take_id) for take_id in made.takes]
    return [
        Origin(shot=number, backend=p.backend, model=p.model, ai=not catalog.backends[p.backend].embedded)
        for number, p in enumerate(bought, start=1)
        if p is not None
    ]


def _final_manifest(
    conn: Connection, catalog: Catalog, made: Cut, job_id: str, version: int, review: Review
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Everything about a delivery, and the summary that the ledger keeps. Scores of the video are its worst shot's."""
    priced = jobs.priced(conn, job_id, version)
    judged = {j.take.take_id: j for j in results.judged(conn, job_id, version)}
    bought = purchases.of_job(conn, job_id, version, kind=None)
    stored = results.takes_by_id(conn, [p.purchase_id for p in bought])
    choices = {purchase_id: str(decision) for _, purchase_id, decision in jobs.decisions_of(conn, job_id, version) if purchase_id}
    chosen = jobs.choices(conn, made.takes)
    used = [_as_shot(judged[take_id], shot.index) for take_id, shot in zip(made.takes, priced.manifest.shots, strict=True)]
    degraded = {j.take.shot for j in used if j.take.take_id in chosen and chosen[j.take.take_id].degraded}
    statuses = sorted({j.report.semantic_status for j in used})
    labels = [f"shot {j.take.shot} is a labelled preview" for j in used if catalog.backends[j.take.backend].embedded]
    labels += [f"shot {shot} was made below the quality floor" for shot in sorted(degraded)]
    labels += ["quality was not scored"] if "unscored" in statuses else []
    scored = [j for j in used if j.report.semantic_status == "scored"]
    labels += ["quality is not calibrated against people's words"] if any(not j.report.calibrated for j in scored) else []
    labels += [f"shot {j.take.shot} was judged by its own maker" for j in scored if j.report.judgement and j.report.judgement.kin]
    labels += [f"accepted by a person although {reason}" for reason in review.reasons]
    summary = {
        "technical": min(j.report.technical for j in used),
        "semantic": _worst([j.report.semantic for j in used]),
        "semantic_status": statuses[0] if len(statuses) == 1 else "unscored",
        "quality": _worst([j.report.quality for j in used]),
        "cost": sum(p.charged or 0 for p in bought),
        "labels": tuple(labels),
    }
    envelope = approvals.envelope(conn, job_id, version)
    document = {
        "job_id": job_id,
        "version": version,
        "order": jobs.spec(conn, job_id).model_dump(mode="json"),
        "manifest": priced.manifest.model_dump(mode="json"),
        "estimate": priced.estimate.model_dump(mode="json"),
        "envelope": envelope.model_dump(mode="json") if envelope else None,
        "shots": [
            {
                "shot": j.take.shot,
                "take": j.take.model_dump(),
                "verdict": j.verdict.value,
                "report": j.report.model_dump(mode="json"),
            }
            for j in used
        ],
        "attempts": [
            {
                **p.model_dump(
                    mode="json",
                    include={"purchase_id", "kind", "subject", "sequence", "backend", "model", "state", "vendor_id", "hold",
                             "charged", "cost_source", "failure", "message", "submitted_at", "closed_at"},
                ),
                "decision": choices.get(p.purchase_id),
                "take_sha256": stored[p.purchase_id].sha256 if p.purchase_id in stored else None,
                **_scores(judged.get(p.purchase_id)),
            }
            for p in bought
        ],
        "amounts_are": "micro-dollars",
        **{**summary, "labels": list(labels)},
    }  # fmt: skip
    return document, summary


def _as_shot(judged: Judged, shot: int) -> Judged:
    """A take as the shot it stands for: one take may stand for several."""
    return judged.model_copy(update={"take": judged.take.model_copy(update={"shot": shot})})


def _scores(judged: Judged | None) -> dict[str, Any]:
    """What came of judging an attempt's take; all None where there was none."""
    return {
        "verdict": judged.verdict.value if judged else None,
        "technical": judged.report.technical if judged else None,
        "quality": judged.report.quality if judged else None,
        "findings": [f.code for f in judged.report.findings] if judged else [],
    }


def _worst(scores: list[float | None]) -> float | None:
    """The lowest score, or None when one is missing: an average over what was looked at would be a made-up number."""
    known = [score for score in scores if score is not None]
    return min(known) if len(known) == len(scores) and known else None


def _tell(conn: Connection, delivery: Delivery) -> None:
    now = database_now(conn)
    reporting.delivered(conn, delivery, now=now)
    outbox.emit(
        conn,
        f"{delivery.job_id}.v{delivery.version}.delivered",
        "job_delivered",
        now=now,
        job_id=delivery.job_id,
        version=delivery.version,
        video=delivery.video.url,
        cost_micros=delivery.cost,
    )


def delivered_by(ledger: Ledger, run_id: str) -> list[dict[str, Any]]:
    """Return what a run delivered, ready for JSON: whose video, where it is, what it scored and what it cost in dollars."""
    with ledger.read() as conn:
        made = results.delivered_by(conn, run_id)
        campaigns = {one.job_id: jobs.campaign_of(conn, one.job_id) for one in made}
    return [
        {
            "job_id": one.job_id,
            "version": one.version,
            "campaign": campaigns[one.job_id],
            "video": one.video.url,
            "poster": one.poster.url,
            "quality": one.quality,
            "cost_usd": one.cost / USD,
        }
        for one in made
    ]


def result(ledger: Ledger, job_id: str) -> dict[str, Any]:
    """Return what became of a job's newest version, ready for JSON: files, scores, dollars, attempts, problems."""
    with ledger.read() as conn:
        version = jobs.latest(conn, job_id)
        made = results.delivery(conn, job_id, version)
        bought = purchases.of_job(conn, job_id, version, kind=None)
        problems = [] if made else jobs.failures_of(conn, job_id, version)
        waits = queue.waiting(conn, [job_id]).get(job_id)
    files = {name: getattr(made, name).url if made else None for name in ("video", "poster", "contact_sheet", "manifest")}
    scores = {name: getattr(made, name) if made else None for name in ("quality", "technical", "semantic", "semantic_status")}
    return {
        "job_id": job_id,
        "version": version,
        **files,
        **scores,
        "labels": list(made.labels) if made else [],
        "cost_usd": sum(p.charged or 0 for p in bought) / USD,
        "attempts": sum(1 for p in bought if p.kind == "render" and p.submitted_at is not None and p.state != "absent"),
        "problems": problems,
        "waits": None if waits is None else str(waits),
    }
