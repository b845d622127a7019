"""An order goes to the server once, and a watch ends with what became of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aiprod.cli import main
from tests.aiprod.cli.test_telling import delivered
from tests.api import TOKEN, Reply, Server, problem, sse, view
from tests.shell import refused, said

CREATE, EVENTS = "/aiprod/job/create", "/aiprod/job/job-1/events"
WAITS = view("waiting_approval").model_dump(mode="json")
RENDERS = view().model_dump(mode="json")
DONE = delivered().model_dump(mode="json")


@pytest.fixture
def order(tmp_path: Path) -> str:
    file = tmp_path / "order.yaml"
    file.write_text("prompt: a lake\nseconds: 5\nbudget_usd: 5\n")
    return str(file)


def test_an_order_is_entered_and_says_what_comes_next(server: Server, order: str, capsys: pytest.CaptureFixture[str]) -> None:
    server.says("POST", CREATE, Reply(201, WAITS))
    assert main(["submit", order, "--job-id", "job-1"]) == 0
    out, _ = said(capsys)
    assert "job-1 entered: waiting approval\nexpected $0.60, worst case $3.10\n" in out and "aiprod approve job-1" in out
    assert server.asked[0].body == {"prompt": "a lake", "seconds": 5, "budget_usd": 5, "job_id": "job-1"}


def test_the_same_again_is_said_to_be(server: Server, order: str, capsys: pytest.CaptureFixture[str]) -> None:
    server.says("POST", CREATE, Reply(200, RENDERS))
    assert main(["submit", order]) == 0
    assert "job-1 was entered before: rendering" in said(capsys)[0]
    assert main(["submit", order, "--json"]) == 0
    assert json.loads(said(capsys)[0])["fresh"] is False


def test_watched_it_ends_with_the_video(server: Server, order: str, capsys: pytest.CaptureFixture[str]) -> None:
    server.says("POST", CREATE, Reply(201, RENDERS))
    server.says("GET", EVENTS, sse(("snapshot", "1", RENDERS), ("change", "2", DONE), ("end", "2", {"over": True})))
    assert main(["submit", order, "--watch"]) == 0
    out, _ = said(capsys)
    assert out.startswith("job-1 entered\njob-1: rendering, version 1\n") and "job-1 is delivered" in out


@pytest.mark.parametrize(("flags", "code"), [([], 4), (["--no-stay"], 4), (["--stay"], 0)])
def test_a_script_is_told_that_a_person_is_asked_unless_it_stays(
    server: Server, order: str, capsys: pytest.CaptureFixture[str], flags: list[str], code: int
) -> None:
    server.says("POST", CREATE, Reply(201, WAITS))
    server.says("GET", EVENTS, sse(("snapshot", "1", WAITS), ("change", "2", DONE), ("end", "2", {"over": True})))
    assert main(["submit", order, "--watch", "--json", *flags]) == code
    assert json.loads(said(capsys)[0])["needs_you"] is (code == 4)


def test_a_refused_order_is_a_line_per_field(server: Server, order: str, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = [{"field": "seconds", "message": "too long"}, {"field": "preset", "message": "no such preset"}]
    server.says("POST", CREATE, problem(422, "no", kind="urn:aiprod:spec-error", errors=wrong))
    assert main(["submit", order]) == 1
    assert said(capsys) == ("", "aiprod: seconds: too long\naiprod: preset: no such preset\n")


def test_what_is_no_order_is_not_sent(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", str(tmp_path / "absent.yaml")]) == 1
    assert "No such file" in refused(capsys) and server.asked == []


def _interruptible() -> None:
    # What runs in the background, as this suite may, has interrupts ignored, and so would its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_an_interrupted_watch_leaves_the_job_alone_and_says_how_to_come_back(server: Server) -> None:
    """A real interrupt of a real process, while nothing happens for a long time."""
    server.says("GET", EVENTS, sse(("snapshot", "1", RENDERS), cut=True))
    server.says("GET", "/aiprod/job/job-1", RENDERS)
    env = {"PYTHONPATH": os.pathsep.join(sys.path), "AIPROD_API_URL": server.url, "AIPROD_API_TOKEN": TOKEN}
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "aiprod.cli", "watch", "job-1"]
    with subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, text=True, preexec_fn=_interruptible) as watch:
        assert watch.stdout is not None and watch.stderr is not None
        try:
            assert watch.stdout.readline() == "job-1: rendering, version 1\n"
            watch.send_signal(signal.SIGINT)
            code, err = watch.wait(20), watch.stderr.read()
        finally:
            watch.kill()
    assert (code, err) == (130, "\naiprod: job-1 goes on without you; `aiprod watch job-1` comes back to it\n")
    assert {one.method for one in server.asked} == {"GET"}
