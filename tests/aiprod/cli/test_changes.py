"""A shot list is printed as a file, changed, and given back; shots are made again by number."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from aiprod.cli import main
from aiprod.models import JobSpec
from aiprod.views import Edited
from tests.api import Reply, Server, view
from tests.shell import refused, said

JOB = "/aiprod/job/job-1"


@pytest.fixture
def edited(server: Server) -> Server:
    manifest, estimate = view().manifest, view().estimate
    server.says("GET", JOB, view("waiting_approval", version=3).model_dump(mode="json"))
    server.says("GET", f"{JOB}/manifest", {"manifest": manifest.model_dump(mode="json")})
    made = Edited(job_id="job-1", version=4, manifest=manifest, estimate=estimate, changes=("shot 1 is 8 s",))
    server.says("POST", f"{JOB}/manifest", made.model_dump(mode="json"))
    server.says("POST", f"{JOB}/redo", Reply(201, view("waiting_approval").model_dump(mode="json")))
    return server


def test_what_is_printed_is_taken_back_as_it_is(edited: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["edit", "job-1"]) == 0
    text = said(capsys)[0]
    assert yaml.safe_load(text) == {
        "base_version": 1, "aspect_ratio": "16:9", "audio": True, "shots": [{"prompt": "a lighthouse", "seconds": 5.0}],
    }  # fmt: skip
    (tmp_path / "shots.yaml").write_text(text)
    assert main(["edit", "job-1", str(tmp_path / "shots.yaml")]) == 0
    assert "shot 1 is 8 s\njob-1 is at version 4: expected $0.60, worst case $3.10" in said(capsys)[0]
    assert edited.to("POST", f"{JOB}/manifest")[0].body == yaml.safe_load(text)
    # A shot list that is printed is one that an order may have.
    JobSpec.parse({"shots": yaml.safe_load(text)["shots"]})


def test_without_a_version_it_is_made_from_the_newest(edited: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "shots.yaml").write_text("shots: [{prompt: a}]")
    assert main(["edit", "job-1", str(tmp_path / "shots.yaml"), "--json"]) == 0
    assert json.loads(said(capsys)[0])["version"] == 4
    assert edited.to("POST", f"{JOB}/manifest")[0].body == {"shots": [{"prompt": "a"}], "base_version": 3}


def test_shots_are_made_again_by_number(edited: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.yaml").write_text("2: {prompt: b}\n")
    assert main(["redo", "job-1", "--shot", "2", "--shot", "3", "--changes", str(tmp_path / "c.yaml")]) == 0
    assert "job-1 is at version 1" in said(capsys)[0]
    assert edited.to("POST", f"{JOB}/redo")[0].body == {"base_version": 3, "shots": [2, 3], "changes": {"2": {"prompt": "b"}}}


@pytest.mark.parametrize("text", ["two: {prompt: b}", "2: b", "- a"])
def test_changes_that_are_none_are_not_sent(
    edited: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (tmp_path / "c.yaml").write_text(text)
    assert main(["redo", "job-1", "--shot", "2", "--changes", str(tmp_path / "c.yaml")]) == 1
    assert "c.yaml" in refused(capsys) and edited.asked == []
