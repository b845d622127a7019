"""A watch says what is new, ends when the job does or a person is asked, and an interrupt ends nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import typer

from aiprod.cli.watching import follow
from aiprod.views import JobView
from tests.aiprod.cli.test_telling import delivered
from tests.api import attempt, view
from tests.shell import said


def moved(progress: float) -> JobView:
    (shot,) = view().shots
    return view(revision=f"p{progress}", shots=(shot.model_copy(update={"progress": progress}),))


def test_news_are_a_line_each_and_progress_alone_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert follow("job-1", [view(), moved(0.5), moved(0.9), delivered()], stay=True, as_json=False) == 0
    lines = said(capsys)[0].splitlines()
    assert lines[:4] == [
        "job-1: rendering, version 1",
        "  shot 1: rendering, attempt 1 at runway submitted",
        "job-1: delivered, version 1",
        "  shot 1: accepted, attempt 2 at runway succeeded, charged $0.60",
    ]
    assert "job-1 is delivered. charged $0.60" in "\n".join(lines[4:])


@pytest.mark.parametrize("status", ["delivered", "rejected", "cancelled", "expired"])
def test_nobody_waits_for_a_run_that_tidies_up(capsys: pytest.CaptureFixture[str], status: str) -> None:
    def endless() -> Iterator[JobView]:
        yield view(status)
        pytest.fail("the end was known")

    follow("job-1", endless(), stay=True, as_json=True)
    assert json.loads(said(capsys)[0])["status"] == status


def test_a_failed_attempt_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    (shot,) = view().shots
    failed = attempt(state="failed", failure="moderated", message="refused for its content", charged=0)
    follow("job-1", [view("failed", shots=(shot.model_copy(update={"status": "failed", "attempts": (failed,)}),))],
           stay=True, as_json=False)  # fmt: skip
    assert "at runway failed, charged $0.00: refused for its content" in said(capsys)[0]


@pytest.mark.parametrize("status", ["failed", "rejected", "cancelled", "expired"])
def test_what_never_comes_ends_with_one(capsys: pytest.CaptureFixture[str], status: str) -> None:
    assert follow("job-1", [view(status)], stay=True, as_json=True) == 1
    assert json.loads(said(capsys)[0])["status"] == status


class TestAsked:
    def test_without_staying_it_ends_with_four_and_says_how_to_answer(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert follow("job-1", [view("waiting_approval"), delivered()], stay=False, as_json=False) == 4
        assert "aiprod approve job-1" in said(capsys)[0]

    def test_staying_it_goes_on_once_somebody_answered(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert follow("job-1", [view("waiting_approval"), delivered()], stay=True, as_json=False) == 0
        assert "aiprod approve job-1" in said(capsys)[0]


def test_an_interrupt_says_how_to_come_back_and_ends_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> Iterator[JobView]:
        yield view()
        raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as stopped:
        follow("job-1", interrupted(), stay=True, as_json=False)
    assert stopped.value.exit_code == 130
    assert "job-1 goes on without you; `aiprod watch job-1` comes back to it" in said(capsys)[1]


def test_a_terminal_sees_a_bar_per_shot_and_the_summary_stays(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert follow("job-1", [view(), moved(0.9), delivered()], stay=True, as_json=False) == 0
    out, _ = said(capsys)
    assert "━" in out and "gen4.5" in out and "job-1 is delivered" in out
