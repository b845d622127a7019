"""What people are shown of a job: frozen nouns, made by `viewing`. Money is micro-dollars, times are UTC."""

from __future__ import annotations

from datetime import datetime

from aiprod.models import (
    OVER,
    Delivery,
    Envelope,
    Erasure,
    Estimate,
    Finding,
    JobSpec,
    JobStatus,
    Manifest,
    Micros,
    Noun,
    Priority,
    State,
    StoredFile,
    Verdict,
    Waiting,
)

__all__ = [
    "ApprovalAsked",
    "AttemptView",
    "DecisionLine",
    "Edited",
    "JobCosts",
    "JobPage",
    "JobRow",
    "JobSums",
    "JobView",
    "PurchaseCost",
    "ReviewAsked",
    "RunRow",
    "ShotView",
    "VersionRow",
]


class VersionRow(Noun):
    """One manifest version: who wrote it, and what it changed, in sentences."""

    version: int
    created_at: datetime
    created_by: str
    changes: tuple[str, ...]
    expected: Micros
    worst_case: Micros


class ApprovalAsked(Noun):
    """A person is asked about money. `not_by` is who may not answer where the preset wants a second person."""

    version: int
    amount: Micros
    expected: Micros
    worst_case: Micros
    budget_left: Micros
    #: None: no run asks yet, or its question has no end.
    answer_by: datetime | None
    not_by: str | None


class ReviewAsked(Noun):
    """A person is asked about the finished video, which is named by the SHA-256 of its file."""

    version: int
    reasons: tuple[str, ...]
    cut_sha: str
    video: StoredFile
    poster: StoredFile
    answer_by: datetime | None
    not_by: str | None


class AttemptView(Noun):
    """One purchase for a shot, and what came of it. `progress` is 0 to 1, as the vendor last said at `seen_at`."""

    purchase_id: str
    kind: str
    backend: str
    model: str
    state: State
    progress: float | None
    seen_at: datetime | None
    hold: Micros
    charged: Micros | None
    cost_source: str | None
    created_at: datetime
    submitted_at: datetime | None
    closed_at: datetime | None
    failure: str | None
    message: str | None
    #: Its shot goes on without it; it stays watched, or waits for a person.
    parked: bool
    take_id: str | None
    verdict: Verdict | None
    technical: float | None
    semantic: float | None
    quality: float | None
    findings: tuple[Finding, ...]


class ShotView(Noun):
    """One shot of the newest version. `take_id` is the take to use; `reused_from` is the version that bought it."""

    shot: int
    prompt: str
    seconds: float
    camera: str | None
    #: waiting, rendering, judging, rejected (its last take was), accepted, needs_person, reused or failed.
    status: str
    progress: float | None
    take_id: str | None
    reused_from: int | None
    attempts: tuple[AttemptView, ...]


class DecisionLine(Noun):
    """One routing choice as a sentence. `chosen` is None where nobody could take the shot."""

    round: int
    shot: int
    purchase_id: str | None
    chosen: str | None
    text: str


class RunRow(Noun):
    """One run that carries the job, or did."""

    run_id: str
    version: int
    started_at: datetime
    settled_at: datetime | None


class JobSums(Noun):
    """The money of a job. `expected` and `worst_case` are of the newest version, all else of every version together."""

    expected: Micros
    worst_case: Micros
    held: Micros
    charged: Micros
    #: What takes used again would have cost.
    saved: Micros
    budget: Micros
    budget_left: Micros


class JobView(Noun):
    """Everything about one job, as it stands. Shots, decisions, review and delivery are of the newest version."""

    job_id: str
    status: JobStatus
    #: Another whenever anything here is another: what `viewing.revisions` returns.
    revision: str
    version: int
    project: str
    preset: str
    priority: Priority
    campaign: str | None
    created_at: datetime
    created_by: str | None
    order: JobSpec
    manifest: Manifest
    estimate: Estimate
    versions: tuple[VersionRow, ...]
    envelope: Envelope | None
    approval: ApprovalAsked | None
    review: ReviewAsked | None
    shots: tuple[ShotView, ...]
    decisions: tuple[DecisionLine, ...]
    delivery: Delivery | None
    costs: JobSums
    waits: Waiting | None
    problems: tuple[str, ...]
    runs: tuple[RunRow, ...]
    #: Nothing happens until a person answers.
    needs_you: bool
    erased: Erasure | None

    @property
    def over(self) -> bool:
        """Nothing of it is open, and only a person can begin anew: whoever watches may stop."""
        still = any(run.settled_at is None for run in self.runs)
        still = still or any(attempt.closed_at is None for shot in self.shots for attempt in shot.attempts)
        return self.status in OVER and not still


class JobRow(Noun):
    """One job in a list."""

    job_id: str
    status: JobStatus
    version: int
    project: str
    preset: str
    campaign: str | None
    #: The first words of the order.
    title: str
    seconds: float
    created_at: datetime
    created_by: str | None
    quality: float | None
    charged: Micros
    has_poster: bool
    needs_you: bool


class JobPage(Noun):
    """Jobs, newest first. `next` is what to give as `before` for the page after this one; None on the last."""

    jobs: tuple[JobRow, ...]
    next: str | None


class PurchaseCost(Noun):
    """What one purchase was quoted, which is what is held for it, and charged. `difference` is None while it is open."""

    purchase_id: str
    version: int
    shot: int
    kind: str
    backend: str
    model: str
    hold: Micros
    charged: Micros | None
    cost_source: str | None
    state: State
    difference: Micros | None


class JobCosts(Noun):
    """Every purchase of a job in all its versions, oldest first, and the sums."""

    job_id: str
    purchases: tuple[PurchaseCost, ...]
    sums: JobSums


class Edited(Noun):
    """The version that an edit or a redo made, what it costs, and what it changed, in sentences."""

    job_id: str
    version: int
    manifest: Manifest
    estimate: Estimate
    changes: tuple[str, ...]
