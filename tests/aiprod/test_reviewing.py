"""A word on a finished video counts for the file that was seen, from one person, once."""

from __future__ import annotations

from typing import Any

import pytest

from aiprod.errors import JobFailed, JobMoved, SamePerson
from aiprod.views import ReviewAsked
from tests.market import RUN, Market


@pytest.fixture
def finished(local_market: Market) -> Market:
    """A video that waits for a person's word."""
    local_market.with_preset("premium_spot", approver_differs=True, auto_approve_usd=5, quality_floor=0.5)
    raw = {"prompt": "a lake", "seconds": 1, "preset": "premium_spot", "job_id": "job-1"}
    local_market.pipeline.estimate([raw], run_id=RUN, job_id="job-1", by="ann")
    assert local_market.pipeline.ask("job-1", run_id=RUN).answer == "approved"
    local_market.run("job-1")
    local_market.pipeline.assemble(["job-1"])
    local_market.pipeline.review_question("job-1", run_id=RUN, task_id="review")
    return local_market


def asked(market: Market) -> ReviewAsked:
    found = market.pipeline.view("job-1").review
    assert found is not None
    return found


def say(market: Market, word: Any, *, by: str = "bob", sha: str | None = None, version: int = 1) -> str:
    sha = sha or market.pipeline.reviews(["job-1"])[0].cut_sha
    return market.pipeline.answer_cut("job-1", word, version=version, cut_sha=sha, by=by, why="too dark")


def test_the_question_says_which_file_why_and_who_may_not_answer(finished: Market) -> None:
    question = asked(finished)
    assert (question.version, question.not_by) == (1, "ann")
    assert question.reasons[0] == "the preset asks for a second look" and question.video.sha256 == question.cut_sha


def test_the_first_word_counts_and_its_own_repetition_is_the_same(finished: Market) -> None:
    assert say(finished, "accepted") == "accepted"
    assert say(finished, "accepted") == "accepted"
    with pytest.raises(JobMoved, match="accepted by bob before"):
        say(finished, "rejected", by="cid")
    assert finished.pipeline.deliver(["job-1"])


def test_who_ordered_it_has_no_word_here_or_in_airflow(finished: Market) -> None:
    with pytest.raises(SamePerson, match="Ann ordered job job-1"):
        say(finished, "accepted", by="Ann")
    with pytest.raises(SamePerson):
        finished.pipeline.answer_review("job-1", "accepted", by="ann", run_id=RUN, task_id="review")
    assert finished.pipeline.reviews(["job-1"])[0].answer is None


def test_a_word_on_another_file_or_version_does_not_count(finished: Market) -> None:
    with pytest.raises(JobMoved, match="not any more the one that was seen"):
        say(finished, "accepted", sha="0" * 64)
    with pytest.raises(JobMoved):
        say(finished, "accepted", version=2)


def test_why_somebody_said_no_is_a_problem_that_is_shown(finished: Market) -> None:
    say(finished, "rejected")
    seen = finished.pipeline.view("job-1")
    assert (seen.status, seen.problems) == ("rejected", ("rejected: bob: too dark",))


def test_nobody_in_time_is_expired_and_can_be_asked_again(finished: Market) -> None:
    finished.pipeline.nobody_looked("job-1", run_id=RUN, task_id="review")
    finished.pipeline.settle(RUN)
    assert finished.pipeline.view("job-1").status == "expired"
    finished.pipeline.review_question("job-1", run_id=RUN, task_id="review")
    assert finished.pipeline.view("job-1").status == "final_approval"
    assert say(finished, "accepted") == "accepted"


def test_the_video_of_a_cancelled_job_waits_for_nobody_and_is_not_delivered(finished: Market) -> None:
    finished.pipeline.cancel("job-1", by="eve")
    assert finished.pipeline.reviews(["job-1"])[0].answer == "rejected"
    with pytest.raises(JobMoved, match="job job-1 is cancelled"):
        say(finished, "accepted")
    with pytest.raises(JobFailed, match="1 of 1 jobs were not delivered"):
        finished.pipeline.deliver(["job-1"])


def test_a_late_answer_in_airflow_is_about_the_version_it_was_shown(finished: Market) -> None:
    say(finished, "rejected")
    finished.pipeline.settle(RUN)
    finished.pipeline.redo("job-1", shots=[1], base_version=1, by="ann")
    finished.pipeline.carry(["job-1"], run_id="job-1.v2")
    before = finished.pipeline.view("job-1").status
    finished.pipeline.answer_review("job-1", "rejected", by="bob", run_id=RUN, task_id="review")
    finished.pipeline.nobody_looked("job-1", run_id=RUN, task_id="review")
    assert finished.pipeline.view("job-1").status == before not in ("rejected", "expired")
