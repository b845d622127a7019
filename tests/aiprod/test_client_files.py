"""A file is home when it is whole and checked, and it never replaces another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiprod.client_files import fetch
from aiprod.client_wire import Credentials, Wire
from aiprod.errors import ApiUnreachable, JobFailed, StorageError
from tests.api import TOKEN, Reply, Server, problem, serving

FILM = b"film" * 300_000
SHA = hashlib.sha256(FILM).hexdigest()
ROUTE = "/aiprod/job/job-1/video"
VIDEO = {"Content-Type": "video/mp4", "ETag": f'"{SHA}"'}


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as desk:
        desk.says("GET", ROUTE, Reply(body=FILM, headers=VIDEO))
        yield desk


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    made = Wire(server.url, Credentials(TOKEN))
    yield made
    made.close()


def test_it_comes_whole_and_is_the_one_the_server_named(server: Server, wire: Wire, tmp_path: Path) -> None:
    done = fetch(wire, "/job/job-1/video", tmp_path / "a.mp4", version=2)
    assert (tmp_path / "a.mp4").read_bytes() == FILM
    assert (done.size, done.sha256) == (len(FILM), SHA)
    assert [one.query for one in server.asked] == ["version=2"]
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=FILM[:-1], headers=VIDEO),
        Reply(body=FILM, headers=VIDEO | {"ETag": '"other"'}),
        Reply(body=FILM, headers={"Content-Type": "video/mp4"}),
        Reply(body=FILM[:100], headers=VIDEO, cut=True),
    ],
)
def test_half_a_file_or_another_one_leaves_nothing_behind(server: Server, wire: Wire, tmp_path: Path, reply: Reply) -> None:
    server.says("GET", ROUTE, reply)
    with pytest.raises(ApiUnreachable, match="did not come whole"):
        fetch(wire, "/job/job-1/video", tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_stays(server: Server, wire: Wire, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("mine")
    with pytest.raises(StorageError, match="is there already"):
        fetch(wire, "/job/job-1/video", tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_text() == "mine" and server.asked == []


def test_a_folder_that_is_not_there_is_one_error(wire: Wire, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written: No such file"):
        fetch(wire, "/job/job-1/video", tmp_path / "no" / "a.mp4")


def test_a_refusal_is_no_file(server: Server, wire: Wire, tmp_path: Path) -> None:
    server.says("GET", ROUTE, problem(404, "job-1 has no video yet", kind="urn:aiprod:job-unknown"))
    with pytest.raises(JobFailed, match="no video yet"):
        fetch(wire, "/job/job-1/video", tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []
