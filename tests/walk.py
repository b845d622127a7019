"""A walk through everything that can happen to one job: the library's own steps, with vendors and films left out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiprod import finishing, sourcing
from aiprod.catalog import Catalog
from aiprod.editing import ManifestEdit
from aiprod.errors import JobFailed, MoneyError, SpecError
from aiprod.ledger import Connection, Ledger, gates, jobs, purchases, results
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.job_status import TRANSITIONS, status_of
from aiprod.ledger.results import Cut
from aiprod.ledger.states import Step
from aiprod.models import Delivery, JobStatus, QAReport, ShotSpec, StoredFile, Take, Verdict
from aiprod.pipeline import Pipeline
from aiprod.purchasing import envelope_of

__all__ = ["JOB", "MOVES", "Walk", "stored"]

#: Everything that can happen, what goes well more often than what does not.
MOVES = (
    *["on"] * 24, "carry", "ask", "answer_in_airflow approved", "answer_in_airflow rejected", "answer_in_airflow expired",
    "answer_over_the_api rejected", "edit a lake", "edit a hill", "edit a town", "route", "end fail", "score rejected",
    "score needs_person", "assemble", "review", "answer_review rejected", "nobody_looks", "settle", "settle", "redo 1", "redo 2",
    *["redo 2"] * 2, "cancel",
)  # fmt: skip

JOB = "job-1"


def stored(name: str) -> StoredFile:
    """A file that was kept, whose content is its name."""
    return StoredFile(path=name, url=f"/files/{name}", sha256=hashlib.sha256(name.encode()).hexdigest(), size=len(name))


class Walk:
    """One job of two shots. After each step: its status took a way that is documented, and what is seen has a new mark."""

    def __init__(self, ledger: Ledger, catalog: Catalog, *, preset: str) -> None:
        self.pipeline = Pipeline(ledger=ledger, catalogue=catalog)
        self.ledger, self.catalog = ledger, catalog
        self.run = 0
        self.cuts = 0
        self.last: tuple[str, dict[str, Any]] | None = None
        self.ways: set[tuple[JobStatus, JobStatus]] = set()
        raw = {"shots": [{"prompt": "a lake"}, {"prompt": "a boat"}], "preset": preset, "quality_floor": 0.5, "job_id": JOB}
        self.pipeline.enter(raw, job_id=JOB, by="ann")
        self.seen = [JobStatus.CREATED]

    def do(self, move: str) -> None:
        """Make one move; moves that do not apply change nothing."""
        name, _, word = move.partition(" ")
        getattr(self, name)(*([word] if word else []))
        self.takes_documented_ways_only()
        self.shows_what_changed()

    def on(self) -> None:
        """What comes next when everything goes well."""
        if self.seen[-1] in (JobStatus.CREATED, JobStatus.FAILED, JobStatus.EXPIRED) and self.carry():
            return
        if self.seen[-1] is JobStatus.WAITING_APPROVAL:
            self.answer_over_the_api("approved")
        elif self.seen[-1] in (JobStatus.ESTIMATED, JobStatus.EXPIRED):
            self.ask()
        elif self._purchases("held"):
            self.send()
        elif self._purchases("submitted"):
            self.end("succeed")
        elif not self._judged():
            self.fetch()
            self.score("accepted")
        elif self.seen[-1] is JobStatus.RENDERING:
            self.route()
        elif self.seen[-1] is JobStatus.FINAL_APPROVAL:
            self.answer_review("accepted")
        elif not self.deliver():
            self.assemble()
            self.review()

    def _judged(self) -> bool:
        """Whether every take that was paid is home and judged."""
        with self.ledger.read() as conn:
            paid = [p for p in self._purchases("succeeded") if results.take_of(conn, p.purchase_id) is None]
            return not paid and not results.unjudged(conn, JOB, jobs.latest(conn, JOB))

    @property
    def version(self) -> int:
        with self.ledger.read() as conn:
            return jobs.latest(conn, JOB)

    @property
    def run_id(self) -> str:
        return f"run-{self.run}"

    def _write(self, work: Callable[[Connection], object]) -> None:
        with self.ledger.write() as conn:
            work(conn)

    def _purchases(self, *states: str) -> list[purchases.Purchase]:
        with self.ledger.read() as conn:
            every = [p for v in jobs.versions(conn, JOB) for p in purchases.of_job(conn, JOB, v)]
        return [p for p in every if p.state in states]

    def carry(self) -> bool:
        """A new run, unless one that is not over carries the newest version."""
        with self.ledger.read() as conn:
            newest = jobs.latest(conn, JOB)
            carried = any(run.settled_at is None and run.version == newest for run in jobs.runs_of(conn, JOB))
        if not carried:
            self.run += 1
            self.pipeline.carry([JOB], run_id=self.run_id)
        return not carried

    def ask(self) -> None:
        if self.run and self.pipeline.ask(JOB, run_id=self.run_id).answer is None:
            self.pipeline.spend_question(JOB, run_id=self.run_id, task_id="approve")

    def answer_in_airflow(self, word: Any) -> None:
        if self.seen[-1] is not JobStatus.WAITING_APPROVAL:
            return
        with suppress(JobFailed):
            self.pipeline.answer_spend(JOB, word, by="bob", run_id=self.run_id, task_id="approve")

    def answer_over_the_api(self, word: Any) -> None:
        asked = self.pipeline.view(JOB).approval
        if asked is not None:
            self.pipeline.answer_money(JOB, word, version=asked.version, amount=asked.amount, by="cid", why="so it is")

    def edit(self, prompt: str) -> None:
        change = ManifestEdit(shots=(ShotSpec(prompt=prompt), ShotSpec(prompt="a boat")))
        with suppress(JobFailed, SpecError):
            self.pipeline.edit(JOB, change, base_version=self.version, by="ann")

    def route(self) -> None:
        with suppress(JobFailed, MoneyError):
            for name in self.pipeline.route([JOB], 1):
                assert name

    def send(self) -> None:
        for p in self._purchases("held"):
            with suppress(MoneyError), self.ledger.write() as conn:
                envelope = envelope_of(conn, JOB, p.version)
                purchases.claim(conn, p.purchase_id, envelope=envelope, catalog=self.catalog, now=database_now(conn))
                purchases.accept(conn, p.purchase_id, f"v-{p.purchase_id}", now=database_now(conn))

    def end(self, word: str) -> None:
        step = Step(word)
        for p in self._purchases("submitted")[:1]:
            charge = p.hold if step is Step.SUCCEED else 0
            with self.ledger.write() as conn:
                now = database_now(conn)
                purchases.close(conn, p.purchase_id, step, catalog=self.catalog, now=now, charge=charge, cost_source="vendor")

    def fetch(self) -> None:
        for p in self._purchases("succeeded"):
            take = {"take_id": p.purchase_id, "version": p.version, "shot": p.shot, "backend": p.backend}
            taken = Take(job_id=JOB, path="a.mp4", sha256="0", size=1, **take)
            self._write(lambda conn, taken=taken: results.keep(conn, taken, now=database_now(conn)))  # type: ignore[misc]

    def score(self, word: str) -> None:
        verdict = Verdict(word)
        with self.ledger.write() as conn:
            for take in results.unjudged(conn, JOB, self.version)[:1]:
                results.judge(conn, QAReport(take_id=take.take_id, technical=0.9), verdict, now=database_now(conn))

    def assemble(self) -> None:
        with self.ledger.write() as conn:
            version = jobs.latest(conn, JOB)
            usable = results.reusable(conn, JOB, version)
            if not sourcing.shots_without_take(conn, JOB, version) and len(usable) == 2:
                self.cuts += 1
                files = {name: stored(f"{name}-{self.cuts}") for name in ("video", "poster", "contact_sheet")}
                made = Cut(takes=tuple(usable[n].take.take_id for n in (1, 2)), **files)
                results.make_cut(conn, JOB, version, made, now=database_now(conn))

    def review(self) -> None:
        for review in self.pipeline.reviews([JOB]):
            if self.run and review.reasons and review.answer is None:
                self.pipeline.review_question(JOB, run_id=self.run_id, task_id="review")

    def answer_review(self, word: Any) -> None:
        asked = self.pipeline.view(JOB).review
        if asked is not None:
            self.pipeline.answer_cut(JOB, word, version=asked.version, cut_sha=asked.cut_sha, by="dan")

    def nobody_looks(self) -> None:
        if self.pipeline.view(JOB).review is not None:
            self.pipeline.nobody_looked(JOB, run_id=self.run_id, task_id="review")

    def deliver(self) -> bool:
        version = self.version
        if not finishing.has_video(self.ledger, JOB, version):
            return False
        (review,) = self.pipeline.reviews([JOB])
        may = review.answer == "accepted" or not review.reasons
        if may:
            files = {name: stored(name) for name in ("video", "poster", "contact_sheet", "manifest")}
            scores: dict[str, Any] = {"quality": 0.9, "technical": 0.9, "semantic": None, "semantic_status": "unscored"}
            made = Delivery(job_id=JOB, version=version, cost=1, **files, **scores)
            self._write(lambda conn: results.deliver(conn, made, now=database_now(conn)))
        return may

    def settle(self) -> None:
        if self.run:
            self.pipeline.settle(self.run_id)

    def redo(self, shot: str) -> None:
        with suppress(JobFailed, SpecError):
            self.pipeline.redo(JOB, shots=[int(shot)], base_version=self.version, by="ann")

    def cancel(self) -> None:
        self._write(lambda conn: gates.cancel_job(conn, JOB, by="eve", now=database_now(conn)))

    def takes_documented_ways_only(self) -> None:
        with self.ledger.read() as conn:
            status = status_of(conn, JOB)
        before = self.seen[-1]
        if before is not status:
            assert status in TRANSITIONS[before], f"{before} to {status} is not documented"
            self.ways.add((before, status))
        self.seen.append(status)

    def shows_what_changed(self) -> None:
        shown = self.pipeline.view(JOB).model_dump(mode="json")
        revision = str(shown.pop("revision"))
        if self.last is not None and self.last[1] != shown:
            assert self.last[0] != revision, "what is shown changed and its mark did not"
        self.last = (revision, shown)
