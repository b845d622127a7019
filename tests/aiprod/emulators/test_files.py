"""What comes instead of a good file, and how it comes; at every vendor the same."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from aiprod.qa.container import truncation
from aiprod.qa.measure import measure

BODY = {"model": "gen4.5", "ratio": "1280:720", "duration": 2}


@pytest.fixture
def address(ask: Any) -> Any:
    """Buy a video and return where it is."""

    def bought(word: str) -> str:
        made = ask("runway", "POST", "/v1/text_to_video", BODY | {"promptText": f"[[runway={word}]]"}).json()
        where: str = ask("runway", "GET", f"/v1/tasks/{made['id']}").json()["output"][0]
        return where

    return bought


def test_a_page_is_not_a_video(client: httpx.Client, address: Any) -> None:
    said = client.get(address("html"))
    assert (said.status_code, said.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"<html>" in said.content


@pytest.mark.parametrize("word", ["corrupt", "truncated", "brief", "ok"])
def test_a_damaged_file_comes_whole_over_the_wire(
    client: httpx.Client, address: Any, tmp_path: Any, vendors: Any, word: str
) -> None:
    said = client.get(address(word))
    file = tmp_path / "a.mp4"
    file.write_bytes(said.content)
    measured = measure(file)
    assert len(said.content) == int(said.headers["content-length"])
    assert bool(measured.stream_errors) == (word in ("corrupt", "truncated"))
    assert bool(truncation(file)) == (word == "truncated")
    assert word == "truncated" or measured.seconds == pytest.approx(1 if word == "brief" else 2, abs=0.1)
    assert vendors.faults() == ([] if word == "ok" else [word])


def test_a_connection_can_be_cut_in_the_middle(client: httpx.Client, address: Any) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(address("cutoff"))


def test_a_file_that_was_gone_is_there_at_the_second_try(client: httpx.Client, address: Any) -> None:
    where = address("gone")
    assert [client.get(where).status_code for _ in range(2)] == [503, 200]


def test_an_address_can_send_you_elsewhere(client: httpx.Client, address: Any) -> None:
    said = client.get(address("redirect:http://169.254.169.254/latest"))
    assert (said.status_code, said.headers["location"]) == (302, "http://169.254.169.254/latest")


def test_a_body_can_have_no_end(client: httpx.Client, address: Any) -> None:
    read = 0
    with client.stream("GET", address("endless")) as said:
        assert "content-length" not in said.headers
        for piece in said.iter_raw():
            read += len(piece)
            if read > 5_000_000:
                break
    assert read > 5_000_000


def test_a_body_can_come_byte_by_byte(client: httpx.Client, address: Any) -> None:
    with client.stream("GET", address("trickle")) as said:
        assert int(said.headers["content-length"]) > 1_000
        assert next(said.iter_raw()) == b"\0"
