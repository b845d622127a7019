"""An answer names what was seen: on a terminal it is shown first, a script says it."""

from __future__ import annotations

import json
import sys

import pytest

from aiprod.cli import main
from aiprod.views import ReviewAsked
from tests.aiprod.cli.test_telling import FILE
from tests.api import Server, problem, view
from tests.shell import refused, said

JOB = "/aiprod/job/job-1"
REVIEW = ReviewAsked(version=2, reasons=(), cut_sha="ab" * 32, video=FILE, poster=FILE, answer_by=None, not_by=None)
CUT = view("final_approval", review=REVIEW, needs_you=True)


@pytest.fixture
def asking(server: Server) -> Server:
    server.says("GET", JOB, view("waiting_approval").model_dump(mode="json"))
    for verb in ("approve", "reject"):
        server.says("POST", f"{JOB}/{verb}", view().model_dump(mode="json"))
    return server


def sent(server: Server, verb: str) -> list[object]:
    return [one.body for one in server.to("POST", f"{JOB}/{verb}")]


@pytest.mark.parametrize("amount", ["3.10", "$3.1"])
def test_a_script_says_which_version_and_how_much(asking: Server, capsys: pytest.CaptureFixture[str], amount: str) -> None:
    assert main(["approve", "job-1", "--version", "1", "--amount", amount]) == 0
    assert "approved: $3.10 for version 1 of job-1" in said(capsys)[0]
    assert sent(asking, "approve") == [{"version": 1, "amount": 3_100_000}]
    assert asking.to("GET", JOB) == []


def test_yes_takes_what_is_asked_now(asking: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["approve", "job-1", "--yes", "--json"]) == 0
    assert json.loads(said(capsys)[0])["job_id"] == "job-1"
    assert main(["reject", "job-1", "--yes", "--why", "too dear"]) == 0
    assert sent(asking, "approve") == [{"version": 1, "amount": 3_100_000}]
    assert sent(asking, "reject") == [{"version": 1, "amount": 3_100_000, "why": "too dear"}]


def test_a_finished_video_is_named_by_its_hash(asking: Server, capsys: pytest.CaptureFixture[str]) -> None:
    asking.says("GET", JOB, CUT.model_dump(mode="json"))
    assert main(["approve", "job-1", "--yes"]) == 0
    assert main(["reject", "job-1", "--version", "2", "--cut", "cd" * 32]) == 0
    assert sent(asking, "approve") == [{"version": 2, "cut_sha": "ab" * 32}]
    assert sent(asking, "reject") == [{"version": 2, "cut_sha": "cd" * 32}]


@pytest.mark.parametrize("flags", [["--version", "1"], ["--amount", "1"], ["--version", "1", "--amount", "1", "--cut", "ab"]])
def test_half_of_what_was_seen_is_refused(asking: Server, capsys: pytest.CaptureFixture[str], flags: list[str]) -> None:
    assert main(["approve", "job-1", *flags]) == 1
    assert "say what you saw" in refused(capsys) and asking.asked == []


def test_without_a_terminal_nothing_is_taken_for_granted(asking: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["approve", "job-1"]) == 1
    assert "or --yes: approve $3.10 for version 1?" in refused(capsys) and sent(asking, "approve") == []


@pytest.mark.parametrize(("typed", "code", "count"), [("y\n", 0, 1), ("n\n", 1, 0), ("", 1, 0)])
def test_on_a_terminal_it_is_shown_and_asked(
    asking: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, typed: str, code: int, count: int
) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

        def readline(self, *_: object) -> str:
            return typed

    monkeypatch.setattr(sys, "stdin", Terminal())
    assert main(["approve", "job-1"]) == code
    assert len(sent(asking, "approve")) == count
    out, err = said(capsys)
    assert "may $3.10 be spent (version 1" in err
    assert "approved" in out if count else "nothing was done" in err


def test_what_moved_on_is_refused_and_said(asking: Server, capsys: pytest.CaptureFixture[str]) -> None:
    asking.says("POST", f"{JOB}/approve", problem(409, "job-1 is at version 2, look again", kind="urn:aiprod:job-moved"))
    assert main(["approve", "job-1", "--version", "1", "--amount", "3.10"]) == 1
    assert refused(capsys) == "aiprod: job-1 is at version 2, look again\n"


def test_a_job_that_asks_nothing_is_not_answered(asking: Server, capsys: pytest.CaptureFixture[str]) -> None:
    asking.says("GET", JOB, view().model_dump(mode="json"))
    assert main(["reject", "job-1", "--yes"]) == 1
    assert refused(capsys) == "aiprod: job-1 is rendering: nobody is asked anything\n"
