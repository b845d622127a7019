"""The client asks what the API answers, sends nothing that costs money twice, and reads what a younger server says."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiprod.client import Client
from aiprod.errors import ApiUnreachable, ConfigError, JobConflict, JobMoved
from aiprod.models import JobSpec
from aiprod.views import Edited, JobCosts, JobPage
from tests.api import TOKEN, Reply, Server, problem, serving, sse, view

JOB = "/aiprod/job/job-1"
EXAMPLE = Path(__file__).parents[2] / "examples" / "client.py"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as desk:
        yield desk


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.url, token=TOKEN, sleep=lambda _: None) as made:
        yield made


def job(status: str = "rendering", **changes: Any) -> dict[str, Any]:
    return view(status, **changes).model_dump(mode="json")


class TestCreate:
    def test_an_order_is_new_or_was_there(self, server: Server, client: Client) -> None:
        server.says("POST", "/aiprod/job/create", Reply(201, job()), Reply(200, job()))
        assert client.create({"prompt": "a lake", "job_id": "job-1"}).fresh
        assert not client.create(JobSpec(prompt="a lake", job_id="job-1")).fresh
        first, second = server.to("POST", "/aiprod/job/create")
        assert first.body == {"prompt": "a lake", "job_id": "job-1"} and "idempotency-key" not in first.headers
        assert second.body["job_id"] == "job-1"

    def test_a_lost_answer_is_asked_for_again_under_the_same_name(self, server: Server, client: Client) -> None:
        server.says("POST", "/aiprod/job/create", Reply(silent=True), Reply(503), Reply(200, job()))
        assert client.create({"prompt": "a lake"}).job.job_id == "job-1"
        keys = [one.headers["idempotency-key"] for one in server.to("POST", "/aiprod/job/create")]
        assert len(keys) == 3 and len(set(keys)) == 1

    def test_two_orders_without_a_name_have_two(self, server: Server, client: Client) -> None:
        server.says("POST", "/aiprod/job/create", Reply(201, job()))
        for _ in range(2):
            client.create({"prompt": "a lake"})
        assert len({one.headers["idempotency-key"] for one in server.asked}) == 2

    def test_another_order_under_the_name_is_a_conflict(self, server: Server, client: Client) -> None:
        server.says("POST", "/aiprod/job/create", problem(409, "job-1 is another order", kind="urn:aiprod:job-conflict"))
        with pytest.raises(JobConflict):
            client.create({"prompt": "a lake", "job_id": "job-1"})


class TestLook:
    def test_a_job_is_read_whole(self, server: Server, client: Client) -> None:
        server.says("GET", JOB, job("waiting_approval"))
        assert client.job("job-1") == view("waiting_approval")

    def test_what_a_younger_server_adds_is_no_trouble_at_any_depth(self, server: Server, client: Client) -> None:
        said = job()
        said |= {"mood": "good", "shots": [{**said["shots"][0], "lens": "50 mm"}]}
        server.says("GET", JOB, said)
        assert client.job("job-1") == view()

    def test_what_is_missing_is_said_by_name(self, server: Server, client: Client) -> None:
        server.says("GET", JOB, {name: value for name, value in job().items() if name != "costs"})
        with pytest.raises(ApiUnreachable, match=r"another release \(JobView.costs"):
            client.job("job-1")

    def test_a_list_is_asked_for_with_every_filter(self, server: Server, client: Client) -> None:
        server.says("GET", "/aiprod/jobs", {"jobs": [], "next": "m"})
        page = client.jobs(status=["failed", "expired"], project="acme", text="a lake", before="x", limit=5)
        assert page == JobPage(jobs=(), next="m")
        assert server.asked[0].query == "status=failed&status=expired&project=acme&q=a+lake&before=x&limit=5"

    def test_a_manifest_is_that_of_the_version(self, server: Server, client: Client) -> None:
        manifest = view().manifest
        server.says("GET", f"{JOB}/manifest", {"manifest": manifest.model_dump(mode="json"), "estimate": {}})
        assert client.manifest("job-1", version=1) == manifest
        assert server.asked[0].query == "version=1"

    def test_costs_backends_and_estimates_are_read(self, server: Server, client: Client) -> None:
        sums = job()["costs"]
        server.says("GET", f"{JOB}/costs", {"job_id": "job-1", "purchases": [], "sums": sums})
        server.says("GET", "/aiprod/backends", {"tariff": "list", "backends": []})
        server.says("POST", "/aiprod/cost-estimate", {"amount": 5})
        assert client.costs("job-1") == JobCosts.model_validate({"job_id": "job-1", "purchases": [], "sums": sums})
        assert client.backends()["tariff"] == "list" and client.estimate({"prompt": "a"}) == {"amount": 5}

    def test_a_watch_ends_with_the_job(self, server: Server, client: Client) -> None:
        server.says("GET", f"{JOB}/events", sse(("snapshot", "1", job()), ("end", "1", {"over": True})))
        assert list(client.watch("job-1")) == [view()]


class TestSay:
    def test_an_approval_names_what_was_seen(self, server: Server, client: Client) -> None:
        server.says("POST", f"{JOB}/approve", job())
        client.approve("job-1", version=2, amount=3_100_000)
        client.approve("job-1", version=2, cut_sha="ab")
        assert [one.body for one in server.asked] == [{"version": 2, "amount": 3_100_000}, {"version": 2, "cut_sha": "ab"}]

    def test_what_moved_on_is_refused_as_such(self, server: Server, client: Client) -> None:
        server.says("POST", f"{JOB}/approve", problem(409, "it is at version 3", kind="urn:aiprod:job-moved"))
        with pytest.raises(JobMoved, match="version 3"):
            client.approve("job-1", version=2, amount=1)

    @pytest.mark.parametrize("verb", ["approve", "reject", "cancel", "redo", "manifest"])
    def test_nothing_that_changes_a_job_is_sent_twice(self, server: Server, client: Client, verb: str) -> None:
        server.says("POST", f"{JOB}/{verb}", Reply(silent=True), job())
        say = {
            "approve": lambda: client.approve("job-1", version=1, amount=1),
            "reject": lambda: client.reject("job-1", version=1, amount=1, why="dear"),
            "cancel": lambda: client.cancel("job-1"),
            "redo": lambda: client.redo("job-1", shots=[2], base_version=1),
            "manifest": lambda: client.edit("job-1", {"shots": []}, base_version=1),
        }[verb]
        with pytest.raises(ApiUnreachable, match="may have been done"):
            say()
        assert len(server.asked) == 1

    def test_an_edit_and_a_redo_say_from_which_version(self, server: Server, client: Client) -> None:
        manifest, estimate = view().manifest, view().estimate
        edited = Edited(job_id="job-1", version=2, manifest=manifest, estimate=estimate, changes=("shot 1 is longer",))
        server.says("POST", f"{JOB}/manifest", edited.model_dump(mode="json"))
        server.says("POST", f"{JOB}/redo", Reply(201, job("waiting_approval")))
        assert client.edit("job-1", {"shots": [{"prompt": "a"}]}, base_version=1) == edited
        client.redo("job-1", shots=[2], base_version=1, changes={2: {"prompt": "b"}})
        assert [one.body for one in server.asked] == [
            {"shots": [{"prompt": "a"}], "base_version": 1},
            {"base_version": 1, "shots": [2], "changes": {"2": {"prompt": "b"}}},
        ]

    def test_a_video_is_fetched(self, server: Server, client: Client, tmp_path: Path) -> None:
        sha = "9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0"
        server.says("GET", f"{JOB}/video", Reply(body=b"aaa", headers={"ETag": f'"{sha}"'}))
        assert client.download("job-1", tmp_path / "a.mp4").sha256 == sha


class TestEnvironment:
    def test_it_says_where_and_who(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        server.says("GET", JOB, job())
        monkeypatch.setenv("AIPROD_API_URL", server.url)
        monkeypatch.setenv("AIPROD_API_TOKEN", TOKEN)
        with Client.from_environment() as client:
            assert client.job("job-1").job_id == "job-1"

    def test_without_an_address_it_says_what_to_set(self) -> None:
        with pytest.raises(ConfigError, match="AIPROD_API_URL"):
            Client.from_environment()

    def test_it_needs_neither_ledger_nor_catalogue(self) -> None:
        probe = "import sys, aiprod.client; print({'sqlalchemy', 'aiprod.ledger', 'aiprod.catalog'} & set(sys.modules))"
        env = {"PYTHONPATH": ":".join(sys.path)}
        done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, env=env)
        assert done.stdout == "set()\n", done.stderr


def test_the_example_orders_watches_and_fetches(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`examples/client.py` as it stands, against an API that delivers."""
    from tests.aiprod.cli.test_telling import delivered

    sha = "9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0"
    server.says("POST", "/aiprod/job/create", Reply(201, job("created")))
    server.says("POST", f"{JOB}/approve", job())
    over = ("change", "2", delivered().model_dump(mode="json"))
    server.says("GET", f"{JOB}/events", sse(("snapshot", "1", job("waiting_approval")), over, ("end", "2", {"over": True})))
    server.says("GET", f"{JOB}/video", Reply(body=b"aaa", headers={"ETag": f'"{sha}"'}))
    monkeypatch.setenv("AIPROD_API_URL", server.url)
    monkeypatch.setenv("AIPROD_API_TOKEN", TOKEN)
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("example_client", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main()
    assert "delivered" in capsys.readouterr().out and (tmp_path / "job-1.mp4").read_bytes() == b"aaa"
    assert server.to("POST", f"{JOB}/approve")[0].body == {"version": 1, "amount": 3_100_000}
