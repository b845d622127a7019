"""Jobs from a shell: listed, shown and fetched, from a server or from the ledger of this machine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from aiprod.cli import main
from tests.aiprod.cli.test_telling import delivered
from tests.api import NOW, Reply, Server, problem, view
from tests.market import Market
from tests.shell import refused, said

ROW = {
    "job_id": "job-1", "status": "waiting_approval", "version": 1, "project": "default", "preset": "quick_social",
    "campaign": None, "title": "a lighthouse", "seconds": 5.0, "created_at": NOW.isoformat(), "created_by": "ann",
    "quality": None, "charged": 0, "has_poster": False, "needs_you": True,
}  # fmt: skip


class TestList:
    def test_it_says_who_waits_and_how_to_go_on(self, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
        server.says("GET", "/aiprod/jobs", {"jobs": [ROW], "next": "mark"})
        assert main(["jobs", "--status", "waiting_approval", "--by", "ann", "--limit", "1"]) == 0
        out, _ = said(capsys)
        assert "waiting_approval *" in out and "1 wait for a person" in out and "aiprod jobs --before mark" in out
        assert server.asked[0].query == "status=waiting_approval&created_by=ann&limit=1"

    def test_for_programs_it_is_the_page(self, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
        server.says("GET", "/aiprod/jobs", {"jobs": [ROW], "next": None})
        assert main(["jobs", "--json"]) == 0
        assert json.loads(said(capsys)[0])["jobs"][0]["job_id"] == "job-1"

    def test_none_is_said(self, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
        server.says("GET", "/aiprod/jobs", {"jobs": [], "next": None})
        assert main(["jobs"]) == 0
        assert said(capsys)[0] == "no such job\n"

    def test_without_a_server_it_is_this_machines_ledger(self, local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
        local_market.order()
        assert main(["jobs"]) == 0
        assert "job-1" in said(capsys)[0]

    def test_the_ledger_can_be_asked_although_a_server_is_named(
        self, local_market: Market, server: Server, capsys: pytest.CaptureFixture[str]
    ) -> None:
        local_market.order()
        assert main(["jobs", "--local", "--json"]) == 0
        assert [row["job_id"] for row in json.loads(said(capsys)[0])["jobs"]] == ["job-1"]
        assert server.asked == []


class TestOne:
    def test_a_server_and_the_ledger_say_the_same(
        self, local_market: Market, server: Server, capsys: pytest.CaptureFixture[str]
    ) -> None:
        local_market.bought()
        seen = local_market.pipeline.view("job-1").model_dump(mode="json")
        server.says("GET", "/aiprod/job/job-1", seen)
        assert main(["job", "job-1", "--json"]) == 0
        over_http = json.loads(said(capsys)[0])
        assert main(["job", "job-1", "--json", "--local"]) == 0
        assert json.loads(said(capsys)[0]) == over_http == seen

    def test_people_read_shots_and_money(self, local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
        local_market.bought()
        assert main(["job", "job-1"]) == 0
        out, _ = said(capsys)
        assert "runway" in out and "charged $0.12" in out

    @pytest.mark.parametrize("local", [[], ["--local"]])
    def test_one_that_is_not_there_is_one_line_and_its_own_code(
        self, local_market: Market, server: Server, capsys: pytest.CaptureFixture[str], local: list[str]
    ) -> None:
        server.says("GET", "/aiprod/job/ghost", problem(404, "job ghost is not in the ledger", kind="urn:aiprod:job-unknown"))
        assert main(["job", "ghost", *local]) == 3
        assert refused(capsys) == "aiprod: job ghost is not in the ledger\n"


class TestDownload:
    def test_a_video_is_fetched_under_the_jobs_name(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        sha = hashlib.sha256(b"film").hexdigest()
        server.says("GET", "/aiprod/job/job-1", delivered().model_dump(mode="json"))
        server.says("GET", "/aiprod/job/job-1/video", Reply(body=b"film", headers={"ETag": f'"{sha}"'}))
        assert main(["download", "job-1"]) == 0
        assert said(capsys)[0] == f"job-1.mp4: 4 bytes, SHA-256 {sha}\n" and (tmp_path / "job-1.mp4").read_bytes() == b"film"
        assert main(["download", "job-1"]) == 1
        assert "is there already" in refused(capsys)

    def test_a_poster_goes_where_it_was_asked_to(
        self, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        sha = hashlib.sha256(b"jpg").hexdigest()
        server.says("GET", "/aiprod/job/job-1/contact-sheet", Reply(body=b"jpg", headers={"ETag": f'"{sha}"'}))
        assert main(["download", "job-1", "--what", "contact-sheet", "--to", str(tmp_path / "s.jpg"), "--json"]) == 0
        assert json.loads(said(capsys)[0])["size"] == 3

    def test_a_job_without_a_video_is_refused(self, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
        server.says("GET", "/aiprod/job/job-1", view().model_dump(mode="json"))
        server.says("GET", "/aiprod/job/job-1/video", problem(404, "job-1 has no video", kind="urn:aiprod:job-unknown"))
        assert main(["download", "job-1"]) == 3
        assert refused(capsys) == "aiprod: job-1 has no video\n"
