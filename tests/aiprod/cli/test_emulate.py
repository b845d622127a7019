"""`aiprod emulate`: it becomes the emulators, and says what to export."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aiprod.cli import emulate, main


def test_what_was_asked_for_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(emulate.os, "execv", lambda program, command: became.append(command))
    main(
        [
            "emulate",
            "--port=0",
            "--books=b.jsonl",
            "--rule=runway=fail",
            "--rule=veo3=lose|ok",
            "--price=runway=0.2",
            "--monitoring=0",
        ]
    )
    assert became == [
        [sys.executable, "-m", "aiprod.emulators", "--port=0", "--seconds-per-render=0.0", "--books=b.jsonl", "--monitoring=0",
         "--rule=runway=fail", "--rule=veo3=lose|ok", "--price=runway=0.2"],
    ]  # fmt: skip


def _interruptible() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _said(folder: Path, *options: str) -> list[str]:
    """The first lines of the command, up to an empty one; then it is interrupted and ends well."""
    command = [sys.executable, "-m", "aiprod.cli", "emulate", "--port=0", f"--folder={folder}", *options]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipe = subprocess.PIPE
    # What runs in the background, as this suite may, has interrupts ignored, and so would its children.
    with subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, text=True, preexec_fn=_interruptible) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            lines = list(iter(process.stdout.readline, "\n"))
            process.send_signal(signal.SIGINT)
            assert (process.wait(20), process.stderr.read()) == (0, "")
        finally:
            process.kill()
    return lines


def test_it_says_what_to_export_and_ends_with_an_interrupt(tmp_path: Path) -> None:
    lines = _said(tmp_path, "--key=runway=mine", "--monitoring=0")
    assert lines[0].startswith("# vendors at http://127.0.0.1:")
    assert "export RUNWAYML_API_SECRET=mine\n" in lines
    assert any(line.startswith("export AIPROD_GCM_ENDPOINT=grpc://127.0.0.1:") for line in lines)
    assert f"export GOOGLE_APPLICATION_CREDENTIALS={tmp_path}/service-account.json\n" in lines


def test_programs_are_told_in_one_line(tmp_path: Path) -> None:
    (line,) = _said(tmp_path, "--json", "--key=runway=mine")
    said = json.loads(line)
    assert said["vendors"].startswith("http://127.0.0.1:")
    assert said["environment"]["RUNWAYML_API_SECRET"] == "mine"
