"""The command line against the API that Airflow serves: over a socket, with real tokens, from the order to the file."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvicorn

from aiprod.cli import main
from aiprod.client import Client
from tests.aiprod_airflow.api.people import API, ORDER
from tests.shell import refused, said


@pytest.fixture
def url(api: API, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address at which the API is served, named by the environment, asked by alice."""
    # Airflow runs nothing here: whatever a run does, the test does with the library.
    api.recorded()
    # The server's log goes where commands print.
    monkeypatch.setattr("airflow.api_fastapi.common.http_access_log.logger", SimpleNamespace(info=lambda *_, **__: None))
    server = uvicorn.Server(uvicorn.Config(api.app, host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    serving = threading.Thread(target=server.run, daemon=True)
    serving.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    monkeypatch.setenv("AIPROD_API_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AIPROD_API_TOKEN", api.token("alice", "user"))
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    serving.join(20)


@pytest.fixture
def order(tmp_path: Path) -> str:
    (tmp_path / "order.yaml").write_text(json.dumps(ORDER))
    return str(tmp_path / "order.yaml")


def done(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(list(argv)) == code, capsys.readouterr()
    return said(capsys)[0]


def asked(api: API, job_id: str) -> None:
    """What the job's run does first: it comes to the question about its money."""
    api.pipeline.carry([job_id], run_id=job_id)
    assert api.pipeline.ask(job_id, run_id=job_id).answer is None
    api.pipeline.spend_question(job_id, run_id=job_id, task_id="approve")


def rendered(api: API, job_id: str) -> None:
    """What it does once the money is approved."""
    assert api.pipeline.ask(job_id, run_id=job_id).answer == "approved"
    api.cut(job_id)


def test_an_order_from_the_shell_to_the_file(
    api: API, url: str, order: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = api.name()
    assert f"{job_id} entered: " in done(capsys, "submit", order, "--job-id", job_id)
    assert f"{job_id} was entered before: " in done(capsys, "submit", order, "--job-id", job_id)
    asked(api, job_id)
    assert "may $" in done(capsys, "submit", order, "--job-id", job_id, "--watch", code=4)
    seen = json.loads(done(capsys, "job", job_id, "--json"))["approval"]
    assert main(["approve", job_id, "--version", "1", "--amount", "0.01"]) == 1
    refused(capsys)
    amount = str(seen["amount"] / 1_000_000)
    assert f"of {job_id}" in done(capsys, "approve", job_id, "--version", "1", "--amount", amount)
    rendered(api, job_id)
    if json.loads(done(capsys, "job", job_id, "--json"))["review"]:
        done(capsys, "approve", job_id, "--yes")
    api.pipeline.deliver([job_id])
    api.pipeline.settle(job_id)
    assert f"{job_id} is delivered" in done(capsys, "watch", job_id)
    assert job_id in done(capsys, "jobs", "--status", "delivered", "--text", job_id)
    costs = json.loads(done(capsys, "costs", job_id, "--json"))
    assert [p["state"] for p in costs["purchases"]] == ["succeeded"] and costs["sums"]["charged"] > 0
    file = tmp_path / "video.mp4"
    done(capsys, "download", job_id, "--to", str(file))
    assert file.read_bytes()[4:8] == b"ftyp"
    done(capsys, "redo", job_id, "--shot", "1")
    assert json.loads(done(capsys, "job", job_id, "--json"))["version"] == 2


def test_a_watch_is_told_what_happens_meanwhile(api: API, url: str) -> None:
    job_id = api.asked()
    with Client.from_environment() as client:
        views = client.watch(job_id)
        first = next(views)
        assert first.status == "waiting_approval" and first.approval is not None
        client.approve(job_id, version=1, amount=first.approval.amount)
        rendered(api, job_id)
        # The stream of a test ends every fifth of a second: it is come back to, and nothing is told twice.
        later = next(view for view in views if view.status in ("scoring", "final_approval"))
        assert later.revision != first.revision and later.costs.charged > 0


def test_an_edit_and_a_cancel_from_the_shell(api: API, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job_id = api.asked()
    shots = json.loads(done(capsys, "edit", job_id, "--json"))
    shots["shots"][0] |= {"prompt": "a lighthouse in a storm", "seconds": 4}
    (tmp_path / "shots.json").write_text(json.dumps(shots))
    assert "is at version 2" in done(capsys, "edit", job_id, str(tmp_path / "shots.json"))
    assert main(["edit", job_id, str(tmp_path / "shots.json")]) == 1
    assert "version" in refused(capsys)
    assert "nothing more is held or sent" in done(capsys, "cancel", job_id)
    assert json.loads(done(capsys, "job", job_id, "--json"))["status"] == "cancelled"
    done(capsys, "watch", job_id, code=1)


def test_what_is_not_there_or_not_allowed_is_a_line_and_a_code(
    api: API, url: str, order: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["job", "ghost"]) == 3
    assert "ghost" in refused(capsys)
    assert main(["watch", "ghost"]) == 3
    assert "ghost" in refused(capsys)
    assert main(["submit", order.replace("order.yaml", "absent.yaml")]) == 1
    refused(capsys)
    assert "runway" in done(capsys, "backends")
    monkeypatch.setenv("AIPROD_API_TOKEN", api.token("vic", "viewer"))
    assert main(["submit", order]) == 1
    refused(capsys)
    monkeypatch.setenv("AIPROD_API_TOKEN", "nonsense")
    assert main(["jobs"]) == 1
    assert "AIPROD_API_TOKEN" in refused(capsys)
