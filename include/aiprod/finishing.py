"""From takes to a finished video: cut together, ask a person where one is needed."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Literal

from aiprod import settings
from aiprod.catalog import Catalog
from aiprod.errors import JobFailed
from aiprod.ledger import Connection, Ledger, answerers, approvals, jobs, outbox, purchases, results
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.results import Cut, Judged
from aiprod.models import Manifest, Noun, Verdict
from aiprod.storage import Storage

__all__ = [
    "Review",
    "ReviewQuestion",
    "assemble_job",
    "has_video",
    "review_job",
    "review_of",
    "review_question",
]


class Review(Noun):
    """What the second look at a finished video came to. `reasons` says why a person is needed; empty: nobody is."""

    job_id: str
    version: int
    reasons: tuple[str, ...] = ()
    answer: Literal["accepted", "rejected"] | None = None
    cut_sha: str = ""
    answer_within: timedelta


class ReviewQuestion(Noun):
    """Where to look at a video that is not delivered yet. `shown`: the parked question is about this very cut."""

    video: str
    poster: str
    shown: bool
    #: Who may not answer, where the preset wants a second person.
    not_by: str | None = None


def assemble_job(ledger: Ledger, catalog: Catalog, storage: Storage, job_id: str, version: int) -> Cut:
    """Cut the best take of every shot together. Raises `JobFailed` when a shot has none.

    Accepted takes first, then those that wait for a person's word, then rejected ones without a veto; what is
    not accepted goes to `review`. The same takes are never assembled twice.
    """
    # Only here: every task process pays for its imports, and only this step cuts video.
    from aiprod import assembly

    with ledger.read() as conn:
        manifest = jobs.priced(conn, job_id, version).manifest
        chosen = _best(conn, manifest)
        standing = results.cut(conn, job_id, version)
        rules = catalog.delivery.of(jobs.spec(conn, job_id).preset)
        requests = {j.take.take_id: purchases.get(conn, j.take.take_id) for j in chosen}
    takes = tuple(j.take.take_id for j in chosen)
    if standing is not None and standing.takes == takes:
        return standing
    first = requests[takes[0]]
    if first is None:
        raise JobFailed(f"take {takes[0]} has no purchase")
    request = first.render_request
    scratch_root = settings.var_dir() / "scratch"
    scratch_root.mkdir(parents=True, exist_ok=True)
    with ExitStack() as open_files:
        scratch = open_files.enter_context(tempfile.TemporaryDirectory(dir=scratch_root))
        clips = [
            assembly.Clip(
                path=open_files.enter_context(storage.local(judged.take.path)),
                seconds=manifest.shot(judged.take.shot).seconds,
            )
            for judged in chosen
        ]
        file = f"video.{rules.container}"
        video, poster, sheet = (Path(scratch) / name for name in (file, "poster.jpg", "contact-sheet.jpg"))
        style = assembly.Style(rules.container, fade_seconds=rules.fade_seconds, loudness=rules.loudness_lufs)
        shape = {"width": request.width, "height": request.height, "fps": request.fps}
        assembly.assemble(clips, video, **shape, audio=manifest.audio, style=style)
        assembly.poster(video, poster)
        assembly.contact_sheet(video, sheet)
        with video.open("rb") as stream:
            # By content: another machine's encoder may cut the same takes into other bytes.
            place = f"{job_id}/v{version}/cuts/{hashlib.file_digest(stream, 'sha256').hexdigest()[:12]}"
        made = Cut(
            takes=takes,
            video=storage.keep(video, f"{place}/{file}"),
            poster=storage.keep(poster, f"{place}/poster.jpg"),
            contact_sheet=storage.keep(sheet, f"{place}/contact-sheet.jpg"),
        )
    with ledger.write() as conn:
        results.make_cut(conn, job_id, version, made, now=database_now(conn))
    return made


def _best(conn: Connection, manifest: Manifest) -> list[Judged]:
    """The take to use for every shot, in order."""
    judged = results.judged(conn, manifest.job_id, manifest.version)
    best, missing = [], []
    for shot in manifest.shots:
        own = [j for j in judged if j.take.shot == shot.index and not j.report.vetoed]
        # Of what was bought once for several shots the best stands for each, rejected or not. Nothing of an earlier version:
        # it may be the very clip that is made again.
        bought = [j for j in judged if (j.take.job_id, j.take.version) == (manifest.job_id, manifest.version)]
        same = [j for j in bought if j.take.shot in manifest.twins(shot.index) and not j.report.vetoed]
        usable = [j.model_copy(update={"take": j.take.model_copy(update={"shot": shot.index})}) for j in own or same]
        usable.sort(key=results.best_first)
        if usable:
            best.append(usable[0])
        else:
            missing.append(f"shot {shot.index} has no usable take: {_history(conn, manifest, shot.index)}")
    if missing:
        raise JobFailed("; ".join(missing))
    return best


def _history(conn: Connection, manifest: Manifest, shot: int) -> str:
    """What was tried for a shot, in a few words."""
    vetoed = {
        j.take.take_id: ", ".join(f.code for f in j.report.findings)
        for j in results.judged(conn, manifest.job_id, manifest.version)
    }
    tried = [
        f"{p.backend} {vetoed.get(p.purchase_id) or p.failure or p.state}"
        for p in purchases.of_job(conn, manifest.job_id, manifest.version)
        if p.shot == shot
    ]
    return ", ".join(tried) or "nothing could be bought"


def review_job(ledger: Ledger, catalog: Catalog, job_id: str, version: int) -> Review:
    """Say whether a person must look at the finished video, and what they said about this very cut."""
    with ledger.read() as conn:
        return review_of(conn, catalog, job_id, version)


def review_of(conn: Connection, catalog: Catalog, job_id: str, version: int) -> Review:
    """The same, in the caller's transaction. Nobody looks at the video of a cancelled job: it is not delivered."""
    made = results.cut(conn, job_id, version)
    if made is None:
        raise JobFailed(f"job {job_id} version {version} has no assembled video")
    preset = catalog.presets[jobs.spec(conn, job_id).preset]
    used = {j.take.take_id: j for j in results.judged(conn, job_id, version) if j.take.take_id in made.takes}
    said = approvals.reviewed(conn, job_id, version, made.video.sha256)
    cancelled = jobs.cancelled_by(conn, job_id)
    reasons = ["the preset asks for a second look"] if preset.second_review else []
    for judged in used.values():
        if judged.verdict is Verdict.NEEDS_PERSON:
            reasons.append(f"shot {judged.take.shot} {_why_a_person(judged)}")
        elif judged.verdict is Verdict.REJECTED:
            codes = ", ".join(f.code for f in judged.report.findings) or "low quality"
            reasons.append(f"shot {judged.take.shot} was rejected ({codes}) and nothing better came back")
    within = timedelta(hours=preset.approval_hours)
    word = None if said is None else said.answer
    if cancelled is not None:
        reasons, word = [f"it was cancelled by {cancelled}"], "rejected"
    return Review(
        job_id=job_id, version=version, reasons=tuple(reasons), answer=word, cut_sha=made.video.sha256, answer_within=within
    )


def _why_a_person(judged: Judged) -> str:
    doubts = judged.report.judgement.doubts if judged.report.judgement else ()
    if doubts:
        return f"is doubtful: {'; '.join(doubts)}"
    return f"was not scored ({judged.report.unscored_why})" if judged.report.unscored_why else "was not scored"


def has_video(ledger: Ledger, job_id: str, version: int) -> bool:
    """Whether a job version has been assembled."""
    with ledger.read() as conn:
        return results.cut(conn, job_id, version) is not None


def review_question(ledger: Ledger, catalog: Catalog, job_id: str, version: int, *, run_id: str, task_id: str) -> ReviewQuestion:
    """Return where to look, noting which cut this question shows first."""
    with ledger.write() as conn:
        made = results.cut(conn, job_id, version)
        if made is None:
            raise JobFailed(f"job {job_id} version {version} has no assembled video")
        now = database_now(conn)
        _, cut_sha = approvals.show(conn, run_id, task_id, job_id, version, now=now, content=made.video.sha256)
        not_by = answerers.creator(conn, catalog, job_id)
        told = {"job_id": job_id, "version": version, "cut_sha": made.video.sha256}
        key = f"{job_id}.v{version}.review_wanted.{made.video.sha256[:12]}.{run_id}"
        outbox.emit(conn, key, "review_wanted", now=now, **told)
    shown = cut_sha == made.video.sha256
    return ReviewQuestion(video=made.video.url, poster=made.poster.url, shown=shown, not_by=not_by)
