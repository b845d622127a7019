"""What became of a take: measured, looked at by a judge, and accepted, rejected or shown to a person."""

from __future__ import annotations

import hashlib
import logging
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from aiprod import logs
from aiprod.catalog import Catalog
from aiprod.errors import JobFailed
from aiprod.judging import Pause, look_at
from aiprod.ledger import Ledger, jobs, purchases, results
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.purchases import Purchase
from aiprod.models import JobSpec, QAReport, Take, Verdict
from aiprod.planning import floor_of
from aiprod.storage import Storage

__all__ = ["score_job"]

log = logging.getLogger(__name__)

#: A report shows this many pictures, of its first findings that have a place.
_MOST_THUMBNAILS = 8


def score_job(
    ledger: Ledger,
    catalog: Catalog,
    storage: Storage,
    job_id: str,
    version: int,
    *,
    side_by_side: int = 1,
    pause: Pause = time.sleep,
) -> list[str]:
    """Judge every take nobody judged yet, so many side by side; return one line per take judged now.

    One take's trouble is raised once every other was judged.
    """
    with ledger.read() as conn:
        new = results.unjudged(conn, job_id, version)
        spec = jobs.spec(conn, job_id)
        bought = {take.take_id: purchases.get(conn, take.take_id) for take in new}

    def one(take: Take) -> str:
        purchase = bought[take.take_id]
        if purchase is None:
            raise JobFailed(f"take {take.take_id} has no purchase")
        with logs.about(**purchase.log_fields):
            line = _score(ledger, catalog, storage, spec, take, purchase, pause)
            log.info("%s", line)
            return line

    # Looking is waiting for an answer; measuring, which is work, has a lock of its own.
    with ThreadPoolExecutor(max(1, min(side_by_side, len(new)))) as pool:
        return [scored.result() for scored in [pool.submit(one, take) for take in new]]


def _score(
    ledger: Ledger, catalog: Catalog, storage: Storage, spec: JobSpec, take: Take, purchase: Purchase, pause: Pause
) -> str:
    # Only here: every task process pays for its imports, and only this step decodes video.
    from aiprod.qa import verdict

    with storage.local(take.path) as file:
        said = _report(ledger, catalog, storage, spec, take, purchase, file, pause)
    word = verdict(
        said,
        embedded=catalog.backends[take.backend].embedded,
        preset=catalog.presets[spec.preset],
        floor=floor_of(spec, catalog),
        thresholds=catalog.quality.of(spec.preset),
    )
    with ledger.write() as conn:
        results.judge(conn, said, word, now=database_now(conn))
    return _line(take, said, word)


def _report(
    ledger: Ledger,
    catalog: Catalog,
    storage: Storage,
    spec: JobSpec,
    take: Take,
    purchase: Purchase,
    file: Path,
    pause: Pause,
) -> QAReport:
    """The technical report, and with it what a judge thinks, where a take is worth the money."""
    from aiprod.qa import Expected, measure_apart, report, unfit, with_opinion
    from aiprod.qa.semantic import Opinion

    thresholds, request = catalog.quality.of(spec.preset), purchase.render_request
    expected = Expected(
        seconds=request.seconds,
        fps=request.fps,
        width=request.width,
        height=request.height,
        audio=request.audio,
        allows=(*catalog.presets[spec.preset].allows, *spec.allows),
    )
    embedded = catalog.backends[take.backend].embedded
    status: Literal["not_applicable", "unscored"] = "not_applicable" if embedded else "unscored"
    said = report(take.take_id, measure_apart(file), expected, thresholds, semantic_status=status)
    said = _with_thumbnails(said, storage, take, file)
    if embedded:
        return said
    if unfit(said, thresholds):
        return with_opinion(said, Opinion(why="the technical check rejected it"), thresholds.semantic)
    found = look_at(ledger, catalog, storage, take, request, file, round=purchase.round, pause=pause)
    return with_opinion(said, found, thresholds.semantic)


def _with_thumbnails(said: QAReport, storage: Storage, take: Take, file: Path) -> QAReport:
    """The report with a small picture of each finding that has a place, kept beside the take."""
    from aiprod.qa import thumbnails_apart

    placed = [n for n, finding in enumerate(said.findings) if finding.when][:_MOST_THUMBNAILS]
    if not placed:
        return said
    moments = [sum(said.findings[n].when[0]) / 2 for n in placed]
    findings = list(said.findings)
    with tempfile.TemporaryDirectory() as scratch:
        for n, picture in zip(placed, thumbnails_apart(file, moments), strict=True):
            if picture is not None:
                jpeg = Path(scratch) / f"{findings[n].code}-{hashlib.sha256(picture).hexdigest()[:8]}.jpg"
                jpeg.write_bytes(picture)
                kept = storage.keep(jpeg, f"{take.path.removesuffix('.mp4')}-{jpeg.name}")
                findings[n] = findings[n].model_copy(update={"thumbnail": kept})
    return said.model_copy(update={"findings": tuple(findings)})


def _line(take: Take, said: QAReport, word: Verdict) -> str:
    found = ", ".join(f.code for f in said.findings) or "no findings"
    scores = f"technical {said.technical:.2f}"
    if said.semantic is not None and said.quality is not None:
        scores += f", semantic {said.semantic:.2f}, quality {said.quality:.2f}" + ("" if said.calibrated else " uncalibrated")
    why = f"; not scored: {said.unscored_why}" if said.unscored_why else ""
    return f"{take.job_id} shot {take.shot} by {take.backend}: {word.value}, {scores} ({found}){why}"
