"""A job in words: what happened, what it cost, and what a person can do now."""

from __future__ import annotations

import pytest

from aiprod.cli.telling import next_step, tell, tell_end
from aiprod.models import Delivery, StoredFile
from aiprod.views import JobView, ReviewAsked, VersionRow
from tests.api import NOW, attempt, view
from tests.shell import said

FILE = StoredFile(path="job-1/1/job-1.mp4", url="file:///x/job-1.mp4", sha256="ab", size=1_234_567)


def delivered(**changes: object) -> JobView:
    """Shot 1 came at the second attempt."""
    failed = attempt(purchase_id="p0", state="failed", failure="vendor_internal", message="it broke", charged=0, closed_at=NOW)
    bought = attempt(state="succeeded", charged=600_000, take_id="t1", quality=0.87, closed_at=NOW)
    (shot,) = view().shots
    shot = shot.model_copy(update={"status": "accepted", "progress": None, "take_id": "t1", "attempts": (failed, bought)})
    delivery = Delivery(
        job_id="job-1", version=1, video=FILE, poster=FILE, contact_sheet=FILE, manifest=FILE, quality=0.87, technical=1.0,
        semantic=0.87, semantic_status="scored", cost=600_000,
    )  # fmt: skip
    costs = view().costs.model_copy(update={"charged": 600_000, "held": 0})
    return view("delivered", revision="r2", shots=(shot,), delivery=delivery, costs=costs, **changes)


def test_a_delivered_job_shows_its_file_its_money_and_how_often_a_shot_was_tried(capsys: pytest.CaptureFixture[str]) -> None:
    tell_end(delivered())
    out, _ = said(capsys)
    assert out.splitlines()[1].split() == [
        "1", "accepted", "(attempt", "2)", "runway", "gen4.5", "-", "$0.60", "0.87", "a", "lighthouse",
    ]  # fmt: skip
    assert "job-1 is delivered. charged $0.60, expected $0.60, worst case $3.10, $9.40 of $10.00 left" in out
    assert "file:///x/job-1.mp4 (1,234,567 bytes, quality 0.87)" in out and "aiprod download job-1" in out


def test_a_question_about_money_says_how_much_and_how_to_answer(capsys: pytest.CaptureFixture[str]) -> None:
    tell(view("waiting_approval"))
    out, _ = said(capsys)
    assert "may $3.10 be spent (version 1, expected $0.60, worst case $3.10)?" in out
    assert "aiprod approve job-1" in out and "aiprod edit job-1" in out


def test_a_question_about_the_video_says_where_it_is_and_who_may_not_answer() -> None:
    review = ReviewAsked(
        version=1, reasons=("nobody scored it",), cut_sha="ab", video=FILE, poster=FILE, answer_by=None, not_by="ann"
    )
    first, then = next_step(view("final_approval", review=review, needs_you=True))
    assert first == (
        "waits for a person, by somebody else than ann: is the finished video good (nobody scored it)? file:///x/job-1.mp4"
    )
    assert "aiprod download job-1" in then


def test_what_waits_for_money_says_until_when() -> None:
    waits = {"job_id": "job-1", "version": 1, "reason": "money", "message": "the day is spent", "due_at": NOW, "since": NOW}
    assert next_step(view("waiting_budget", waits=waits)) == [
        "waits for money and is picked up by itself from 2026-11-02 09:30 UTC: the day is spent"
    ]


def test_edits_and_troubles_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        VersionRow(version=n, created_at=NOW, created_by="bob", changes=("shot 1 is 8 s",), expected=1, worst_case=1)
        for n in (1, 2)
    ]
    tell(view("failed", versions=tuple(rows), problems=("no backend could take it",)))
    out, _ = said(capsys)
    assert out.count("by bob: shot 1 is 8 s") == 1 and "trouble: no backend could take it" in out and "aiprod redo job-1" in out


def test_a_prompt_cannot_paint_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    (shot,) = view().shots
    tell(view(shots=(shot.model_copy(update={"prompt": "\x1b[2J\x1b]0;owned\x07 [bold]x[/bold] \u202eevil"}),)))
    out, _ = said(capsys)
    assert "\x1b" not in out and "\x07" not in out and "\u202e" not in out and "[bold]x[/bold]" in out
