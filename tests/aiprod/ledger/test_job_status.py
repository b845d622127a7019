"""Where a job is follows from what happened to it, on both databases; no two states are true at once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from aiprod.errors import JobUnknown
from aiprod.ledger import Ledger, approvals, gates, jobs, queue, results
from aiprod.ledger.job_status import NOBODY_LOOKED, TRANSITIONS, may_be, status_of, status_sql
from aiprod.ledger.queue import Waiting
from aiprod.ledger.results import Cut
from aiprod.ledger.schema import jobs as table
from aiprod.ledger.states import Step
from aiprod.models import Delivery, Estimate, JobSpec, JobStatus, Take
from tests.desk import NOW, Desk, manifest
from tests.walk import stored

JOB = "job-1"
DOCS = Path(__file__).parents[3] / "docs" / "jobs.md"


class Story:
    """What happens to one job of one shot, a second apart."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.now, self.cut = desk, NOW, 0
        self.entered(1)

    def tick(self) -> None:
        self.now += timedelta(seconds=1)

    def entered(self, version: int) -> None:
        with self.desk.ledger.write() as conn:
            jobs.enter(conn, JOB, JobSpec(prompt="a lighthouse"), now=self.now)
            price = Estimate(tariff="list", lines=(), expected=0, worst_case=1)
            jobs.write_manifest(conn, manifest(version=version), price, ["runway"], by="test", now=self.now)

    def happens(self, what: str, version: int = 1) -> None:
        self.tick()
        with self.desk.ledger.write() as conn:
            if what == "a run":
                jobs.attach_run(conn, f"run-{version}", JOB, version, now=self.now)
            elif what == "asked":
                approvals.show(conn, f"run-{version}", "approve", JOB, version, now=self.now)
            elif what in ("approved", "rejected", "expired"):
                number = approvals.next_sequence(conn, JOB, version)
                terms = {"amount": 10**9, "backends": ["runway"], "attempts_per_shot": 3, "by": "ann"}
                expires = self.now + timedelta(hours=1)
                approvals.answer(conn, JOB, version, what, sequence=number, expires_at=expires, now=self.now, **terms)  # type: ignore[arg-type]
            elif what == "cut":
                self.cut += 1
                files = {name: stored(f"{name}-{self.cut}") for name in ("video", "poster", "contact_sheet")}
                results.make_cut(conn, JOB, version, Cut(takes=("t",), **files), now=self.now)
            elif what == "shown":
                approvals.show(conn, f"run-{version}", "review", JOB, version, now=self.now, content=f"cut {self.cut}")
            elif what in ("liked", "disliked"):
                word = "accepted" if what == "liked" else "rejected"
                approvals.review(conn, JOB, version, f"cut {self.cut}", word, by="bob", now=self.now)  # type: ignore[arg-type]
            elif what == "nobody looked":
                jobs.remark(conn, JOB, version, NOBODY_LOOKED, "nobody", now=self.now)
            elif what == "settled":
                jobs.settle_run(conn, f"run-{version}", now=self.now)
            elif what == "cancelled":
                gates.cancel_job(conn, JOB, by="eve", now=self.now)
            elif what.startswith("waits for"):
                entry = {"reason": what.removeprefix("waits for "), "message": "", "due_at": self.now, "since": self.now}
                queue.put(conn, Waiting.model_validate({"job_id": JOB, "version": version, **entry}))
            elif what == "delivered":
                files = {name: stored(name) for name in ("video", "poster", "contact_sheet", "manifest")}
                scores = {"quality": None, "technical": 1.0, "semantic": None, "semantic_status": "unscored"}
                results.deliver(conn, Delivery(job_id=JOB, version=version, cost=1, **files, **scores), now=self.now)  # type: ignore[arg-type]
            elif what == "again":
                self.entered_in(conn, 2)
            else:
                raise AssertionError(what)

    def entered_in(self, conn: object, version: int) -> None:
        price = Estimate(tariff="list", lines=(), expected=0, worst_case=1)
        jobs.write_manifest(conn, manifest(version=version), price, ["runway"], by="test", now=self.now)  # type: ignore[arg-type]

    @property
    def status(self) -> str:
        with self.desk.ledger.read() as conn:
            return str(status_of(conn, JOB))


@pytest.mark.parametrize(
    ("story", "status"),
    [
        ((), "created"),
        (("a run",), "estimated"),
        (("waits for campaign",), "estimated"),
        (("a run", "asked"), "waiting_approval"),
        (("a run", "asked", "approved"), "rendering"),
        (("a run", "approved"), "rendering"),
        (("approved",), "created"),
        (("a run", "asked", "rejected"), "rejected"),
        (("a run", "asked", "expired", "settled"), "expired"),
        (("a run", "asked", "settled"), "failed"),
        (("a run", "approved", "settled"), "failed"),
        (("a run", "asked", "expired", "settled", "asked"), "waiting_approval"),
        (("a run", "asked", "approved", "settled", "asked"), "waiting_approval"),
        (("a run", "approved", "waits for money"), "waiting_budget"),
        (("a run", "approved", "waits for money", "settled"), "waiting_budget"),
        (("a run", "approved", "waits for slots", "settled"), "estimated"),
        (("a run", "approved", "cut", "shown"), "final_approval"),
        (("a run", "approved", "cut", "shown", "liked"), "rendering"),
        (("a run", "approved", "cut", "shown", "disliked"), "rejected"),
        (("a run", "approved", "cut", "shown", "disliked", "cut", "shown"), "final_approval"),
        (("a run", "approved", "cut", "shown", "settled"), "failed"),
        (("a run", "approved", "cut", "shown", "nobody looked"), "expired"),
        (("a run", "approved", "cut", "shown", "nobody looked", "settled"), "expired"),
        (("a run", "approved", "cut", "shown", "nobody looked", "settled", "shown"), "final_approval"),
        (("a run", "cancelled"), "cancelled"),
        (("a run", "asked", "cancelled"), "cancelled"),
        (("a run", "approved", "delivered", "settled"), "delivered"),
        (("a run", "approved", "delivered", "cancelled"), "delivered"),
        (("a run", "asked", "rejected", "settled", "again"), "created"),
        (("a run", "approved", "delivered", "settled", "again"), "created"),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, tuple) else value,
)
def test_where_a_job_is_follows_from_what_happened(desk: Desk, story: tuple[str, ...], status: str) -> None:
    told = Story(desk)
    for what in story:
        told.happens(what)
    assert told.status == status
    with desk.ledger.read() as conn:
        # A list that looks for this state alone finds the job.
        assert conn.execute(select(table.c.job_id).where(may_be([JobStatus(status)]))).scalars().all() == [JOB]


def test_what_happens_to_other_jobs_changes_nothing(desk: Desk) -> None:
    """Their answers, words and deliveries came later than any question of this one."""
    story = Story(desk)
    for what in ("a run", "asked"):
        story.happens(what)
    desk.order("job-2", now=NOW + timedelta(days=1))
    with desk.ledger.write() as conn:
        approvals.review(conn, "job-2", 1, "cut", "accepted", by="bob", now=NOW + timedelta(days=2))
    assert story.status == "waiting_approval"
    for what in ("approved", "cut", "shown"):
        story.happens(what)
    assert story.status == "final_approval"
    for what in ("nobody looked", "settled"):
        story.happens(what)
    assert story.status == "expired"


def test_a_shot_is_rendering_until_it_has_a_take_and_then_scoring(desk: Desk) -> None:
    story = Story(desk)
    story.happens("a run")
    envelope = desk.order(now=story.now)
    assert story.status == "rendering"
    bought = desk.bought(envelope)
    assert story.status == "rendering"
    desk.close(bought.purchase_id, Step.SUCCEED, charge=bought.hold)
    assert story.status == "rendering"
    with desk.ledger.write() as conn:
        home = {"version": 1, "shot": 1, "backend": "runway", "path": "a", "sha256": "b", "size": 1}
        results.keep(conn, Take(take_id=bought.purchase_id, job_id=JOB, **home), now=NOW)  # type: ignore[arg-type]
    assert story.status == "scoring"
    story.happens("settled")
    assert story.status == "failed"


def test_a_redo_is_rendering_again_with_takes_of_the_version_before(desk: Desk) -> None:
    story = Story(desk)
    for what in ("a run", "approved", "delivered", "settled", "again"):
        story.happens(what)
    story.happens("a run", 2)
    assert story.status == "estimated"
    story.happens("approved", 2)
    assert story.status == "rendering"


def test_lists_say_what_one_job_says(ledger: Ledger, desk: Desk) -> None:
    Story(desk).happens("a run")
    with ledger.read() as conn:
        assert conn.execute(select(table.c.job_id, status_sql())).all() == [(JOB, "estimated")]


def test_an_unknown_job_is_said_by_name(ledger: Ledger) -> None:
    with ledger.read() as conn, pytest.raises(JobUnknown, match="ghost"):
        status_of(conn, "ghost")


def test_every_state_has_its_steps() -> None:
    assert set(TRANSITIONS) == set(JobStatus)
    assert all(status not in leads_to for status, leads_to in TRANSITIONS.items())


def test_the_page_shows_this_very_table() -> None:
    told = [f"| {status} | {', '.join(sorted(leads_to))} |" for status, leads_to in TRANSITIONS.items()]
    assert [line for line in told if line not in DOCS.read_text().splitlines()] == []


class TestManyJobs:
    """A status is of one job: what is said about others, later, says nothing about it."""

    def other(self, story: Story) -> None:
        """Another job is ordered, approved and its video accepted, all after what has happened so far."""
        later = story.now + timedelta(minutes=1)
        with story.desk.ledger.write() as conn:
            jobs.enter(conn, "other", JobSpec(prompt="a harbour"), now=later)
            price = Estimate(tariff="list", lines=(), expected=0, worst_case=1)
            jobs.write_manifest(conn, manifest("other"), price, ["runway"], by="test", now=later)
            terms = {"amount": 1, "backends": ["runway"], "attempts_per_shot": 3, "by": "ann", "expires_at": later}
            approvals.answer(conn, "other", 1, "approved", sequence=1, now=later, **terms)  # type: ignore[arg-type]
            approvals.review(conn, "other", 1, "cut", "accepted", by="ann", now=later)

    @pytest.mark.parametrize(
        ("happened", "status"),
        [
            (("a run", "asked"), JobStatus.WAITING_APPROVAL),
            (("a run", "asked", "approved", "cut", "shown"), JobStatus.FINAL_APPROVAL),
            (("a run", "asked", "approved", "cut", "shown", "nobody looked", "settled"), JobStatus.EXPIRED),
        ],
    )
    def test_another_jobs_word_is_not_this_ones(self, desk: Desk, happened: tuple[str, ...], status: JobStatus) -> None:
        story = Story(desk)
        for what in happened:
            story.happens(what)
        self.other(story)
        with desk.ledger.read() as conn:
            assert status_of(conn, JOB) is status
            (listed,) = conn.execute(select(status_sql()).where(table.c.job_id == JOB)).scalars()
        assert listed == status
