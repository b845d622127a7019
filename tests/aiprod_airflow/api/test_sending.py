"""Ranges are what RFC 9110 says, from a folder or a bucket, and nothing is read that was not asked for."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import pytest
from fastapi import Request
from fastapi.responses import Response
from starlette.responses import StreamingResponse

from aiprod.models import StoredFile
from aiprod.storage import Storage
from aiprod_airflow.api.sending import send

CONTENT = bytes(range(200))


@pytest.fixture(params=["folder", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return Storage.at(str(tmp_path / "kept") if request.param == "folder" else f"memory://sending-{uuid.uuid4().hex}")


@pytest.fixture
def kept(storage: Storage, tmp_path: Path) -> StoredFile:
    (tmp_path / "clip.mp4").write_bytes(CONTENT)
    return storage.keep(tmp_path / "clip.mp4", "a/clip.mp4")


def sent(storage: Storage, kept: StoredFile, method: str = "GET", **headers: str) -> tuple[Response, bytes]:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    response = send(Request({"type": "http", "method": method, "headers": raw}), storage, kept, media_type="video/mp4")

    async def body() -> bytes:
        if not isinstance(response, StreamingResponse):
            return bytes(response.body)
        return b"".join([bytes(chunk) async for chunk in response.body_iterator])  # type: ignore[arg-type]

    return response, asyncio.run(body())


@pytest.mark.parametrize(
    ("asked", "first", "end"),
    [
        ("bytes=10-19", 10, 20),
        ("bytes=190-", 190, 200),
        ("bytes=-5", 195, 200),
        ("bytes=0-", 0, 200),
        ("bytes=198-900", 198, 200),
    ],
)
def test_a_range_is_sent_as_that(storage: Storage, kept: StoredFile, asked: str, first: int, end: int) -> None:
    response, body = sent(storage, kept, range=asked)

    assert (response.status_code, body) == (206, CONTENT[first:end])
    assert response.headers["content-range"] == f"bytes {first}-{end - 1}/200"
    assert response.headers["content-length"] == str(end - first)


@pytest.mark.parametrize("asked", ["bytes=1-2,5-6", "lines=1-2", "bytes=9-3", "bytes=-", "bytes=" + "9" * 20 + "-", "nonsense"])
def test_what_is_no_single_range_is_the_whole_file(storage: Storage, kept: StoredFile, asked: str) -> None:
    response, body = sent(storage, kept, range=asked)

    assert (response.status_code, body) == (200, CONTENT)


@pytest.mark.parametrize("asked", ["bytes=200-", "bytes=-0"])
def test_what_is_beyond_the_end_cannot_be_sent(storage: Storage, kept: StoredFile, asked: str) -> None:
    response, body = sent(storage, kept, range=asked)

    assert (response.status_code, body, response.headers["content-range"]) == (416, b"", "bytes */200")


def test_who_resumes_another_file_is_sent_all_of_this_one(storage: Storage, kept: StoredFile) -> None:
    assert sent(storage, kept, range="bytes=5-6", if_range='"another"')[1] == CONTENT
    assert sent(storage, kept, range="bytes=5-6", if_range=f'"{kept.sha256}"')[1] == CONTENT[5:7]


def test_a_look_at_the_head_reads_nothing(storage: Storage, kept: StoredFile) -> None:
    response, body = sent(storage, kept, method="HEAD")

    assert (response.status_code, body, response.headers["content-length"]) == (200, b"", "200")
