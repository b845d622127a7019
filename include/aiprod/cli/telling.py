"""One job in words: how it stands, its shots, its money, and what it waits for."""

from __future__ import annotations

from aiprod.cli.screen import line, table
from aiprod.models import JobStatus, Micros, dollars
from aiprod.views import AttemptView, JobSums, JobView, ShotView

__all__ = ["next_step", "shot_rows", "tell", "tell_end"]

_SHOTS = ("shot", "status", "backend", "model", "progress", "charged", "quality", "what it shows")
_FIGURES = ("shot", "progress", "charged", "quality")
#: As much of a prompt as tells shots apart.
_WORDS = 48


def tell(view: JobView) -> None:
    """Print a job for people."""
    line(
        f"{view.job_id}  {view.status}, version {view.version}  ({view.preset}, project {view.project}, {view.priority} priority)"
    )
    by = f" by {view.created_by}" if view.created_by else ""
    line(f"ordered {view.created_at:%Y-%m-%d %H:%M} UTC{by}{f', campaign {view.campaign}' if view.campaign else ''}")
    for version in view.versions[1:]:
        for change in version.changes:
            line(f"version {version.version} by {version.created_by}: {change}")
    table(_SHOTS, shot_rows(view), right=_FIGURES)
    line(_money(view.costs))
    _result(view)
    for problem in view.problems:
        line(f"trouble: {problem}")
    for told in next_step(view):
        line(told)


def tell_end(view: JobView) -> None:
    """Print what became of a job that was watched to its end, or to a question."""
    table(_SHOTS, shot_rows(view), right=_FIGURES)
    line(f"{view.job_id} is {str(view.status).replace('_', ' ')}. {_money(view.costs)}")
    _result(view)
    for problem in view.problems[-3:]:
        line(f"trouble: {problem}")
    for told in next_step(view):
        line(told)


def shot_rows(view: JobView) -> list[tuple[str, ...]]:
    """Return a row per shot: where it stands, at whom, and what its attempts were charged so far."""
    return [_shot(shot) for shot in view.shots]


def _shot(shot: ShotView) -> tuple[str, ...]:
    attempt = next((one for one in shot.attempts if one.take_id == shot.take_id and shot.take_id), None) or _last(shot)
    status = f"reused from version {shot.reused_from}" if shot.reused_from else shot.status
    tries = f" (attempt {len(shot.attempts)})" if len(shot.attempts) > 1 else ""
    charged = sum(one.charged or 0 for one in shot.attempts)
    words = shot.prompt if len(shot.prompt) <= _WORDS else f"{shot.prompt[: _WORDS - 1]}…"
    return (
        str(shot.shot),
        f"{status.replace('_', ' ')}{tries}",
        attempt.backend if attempt else "-",
        attempt.model if attempt else "-",
        "-" if shot.progress is None else f"{shot.progress:.0%}",
        dollars(charged),
        "-" if attempt is None or attempt.quality is None else f"{attempt.quality:.2f}",
        " ".join(words.split()),
    )


def _last(shot: ShotView) -> AttemptView | None:
    return shot.attempts[-1] if shot.attempts else None


def _money(sums: JobSums) -> str:
    parts = [f"charged {dollars(sums.charged)}", f"expected {dollars(sums.expected)}", f"worst case {dollars(sums.worst_case)}"]
    extra: list[tuple[str, Micros]] = [("held", sums.held), ("saved", sums.saved)]
    parts += [f"{word} {dollars(amount)}" for word, amount in extra if amount]
    return ", ".join([*parts, f"{dollars(sums.budget_left)} of {dollars(sums.budget)} left"])


def _result(view: JobView) -> None:
    made = view.delivery
    if made is None:
        return
    quality = "not scored" if made.quality is None else f"{made.quality:.2f}"
    labels = f", {', '.join(made.labels)}" if made.labels else ""
    line(f"delivered: {made.video.url} ({made.video.size:,} bytes, quality {quality}{labels})")


def next_step(view: JobView) -> list[str]:
    """Return what a person can do now, one line each; none when nobody has to."""
    if view.approval is not None and view.status == JobStatus.WAITING_APPROVAL:
        asked = view.approval
        until = f" until {asked.answer_by:%Y-%m-%d %H:%M} UTC" if asked.answer_by else ""
        other = f", by somebody else than {asked.not_by}" if asked.not_by else ""
        return [
            f"waits for a person{until}{other}: may {dollars(asked.amount)} be spent (version {asked.version}, expected "
            f"{dollars(asked.expected)}, worst case {dollars(asked.worst_case)})?",
            f"  aiprod approve {view.job_id}    aiprod reject {view.job_id}    aiprod edit {view.job_id}",
        ]
    if view.review is not None and view.status == JobStatus.FINAL_APPROVAL:
        why = f" ({'; '.join(view.review.reasons)})" if view.review.reasons else ""
        other = f", by somebody else than {view.review.not_by}" if view.review.not_by else ""
        return [
            f"waits for a person{other}: is the finished video good{why}? {view.review.video.url}",
            f"  aiprod download {view.job_id}    aiprod approve {view.job_id}    aiprod reject {view.job_id}",
        ]
    if view.waits is not None:
        return [str(view.waits)]
    if view.status == JobStatus.DELIVERED:
        return [f"  aiprod download {view.job_id}"]
    if view.status in (JobStatus.FAILED, JobStatus.REJECTED, JobStatus.EXPIRED) and view.erased is None:
        return [f"  aiprod redo {view.job_id} --shot N makes shots again"]
    return []
