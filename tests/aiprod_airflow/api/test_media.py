"""Files come whole or in ranges, are known by their sum, and only what may be seen is to be had."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert

from aiprod.ledger.schema import erasures
from aiprod.models import Erasure
from aiprod.pipeline import Pipeline
from tests.aiprod_airflow.api.people import API


@pytest.fixture
def job_id(api: API) -> str:
    api.recorded()
    return api.delivered()


@pytest.mark.parametrize(("name", "kind"), [("video", "video/mp4"), ("poster", "image/jpeg"), ("contact-sheet", "image/jpeg")])
def test_a_file_is_what_the_ledger_says_it_is(api: API, job_id: str, name: str, kind: str) -> None:
    said = api.client().get(f"/aiprod/job/{job_id}/{name}")
    delivery = api.look(job_id)["delivery"]

    assert (said.status_code, said.headers["content-type"]) == (200, kind)
    assert (
        said.headers["etag"]
        == f'"{hashlib.sha256(said.content).hexdigest()}"'
        == f'"{delivery[name.replace("-", "_")]["sha256"]}"'
    )
    assert said.headers["x-content-type-options"] == "nosniff"


def test_a_player_seeks(api: API, job_id: str) -> None:
    client, path = api.client(), f"/aiprod/job/{job_id}/video"
    whole = client.get(path).content
    part = client.get(path, headers={"Range": "bytes=10-19"})

    assert (part.status_code, part.content) == (206, whole[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(whole)}"
    assert client.get(path, headers={"Range": f"bytes={len(whole)}-"}).status_code == 416
    head = client.head(path)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(whole)))


def test_who_has_it_is_not_sent_it_again(api: API, job_id: str) -> None:
    path = f"/aiprod/job/{job_id}/poster"
    tag = api.client().get(path).headers["etag"]

    assert api.client().get(path, headers={"If-None-Match": tag}).status_code == 304


def test_a_take_is_had_by_its_job_only(api: API, job_id: str) -> None:
    other = api.delivered(prompt="another")
    take = api.look(job_id)["shots"][0]["take_id"]

    assert api.client().get(f"/aiprod/job/{job_id}/take/{take}").headers["content-type"] == "video/mp4"
    assert api.client().get(f"/aiprod/job/{other}/take/{take}").status_code == 404
    assert {api.client().get(f"/aiprod/job/{job_id}/take/{name}").status_code for name in ("x", "%2e%2e", "..%2fx")} <= {404, 422}


def test_a_version_without_a_video_has_none(api: API, job_id: str) -> None:
    assert api.client().get(f"/aiprod/job/{job_id}/video?version=2").status_code == 404
    assert api.client().get(f"/aiprod/job/{api.order()}/video").status_code == 404


def test_the_last_delivery_is_shown_while_a_new_version_is_made(api: API, job_id: str) -> None:
    before = api.client().get(f"/aiprod/job/{job_id}/video").headers["etag"]
    api.client().post(f"/aiprod/job/{job_id}/redo", json={"base_version": 1, "shots": [1]})

    assert api.client().get(f"/aiprod/job/{job_id}/video").headers["etag"] == before


def test_a_browser_plays_it_with_its_cookie(api: API, job_id: str) -> None:
    assert api.browser().get(f"/aiprod/job/{job_id}/video", headers={"Range": "bytes=0-"}).status_code == 206


def test_a_file_that_is_gone_is_a_fault_that_is_named(api: API, job_id: str) -> None:
    path = api.pipeline.view(job_id).delivery.video.url  # type: ignore[union-attr]
    import os

    os.unlink(path)
    said = api.client().get(f"/aiprod/job/{job_id}/video")

    assert (said.status_code, said.json()["type"]) == (503, "urn:aiprod:storage-error")


class TestErase:
    @pytest.fixture
    def erased(self, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
        """What was asked of the library, which does it and has its own tests."""
        asked = list[dict[str, str]]()

        def erase(self: Pipeline, job_id: str, *, by: str, why: str) -> Erasure:
            asked.append({"job_id": job_id, "by": by, "why": why})
            return Erasure(job_id=job_id, erased_at=datetime.now(UTC), erased_by=by, why=why, files=4, size=9)

        monkeypatch.setattr(Pipeline, "erase", erase, raising=False)
        return asked

    def test_who_asks_and_why_is_kept(self, api: API, job_id: str, erased: list[dict[str, str]]) -> None:
        path = f"/aiprod/job/{job_id}/media"
        said = [api.client("bob").request("DELETE", path, json=body) for body in ({"why": "the customer asked"}, None)]

        assert [answer.status_code for answer in said] == [200, 200]
        assert erased == [{"job_id": job_id, "by": "bob", "why": why} for why in ("the customer asked", "")]

    def test_a_viewer_deletes_nothing(self, api: API, job_id: str, erased: list[dict[str, str]]) -> None:
        assert api.client("eve", "viewer").delete(f"/aiprod/job/{job_id}/media").status_code == 403
        assert erased == []

    def test_files_that_were_deleted_are_not_missing(self, api: API, job_id: str) -> None:
        take = api.look(job_id)["shots"][0]["take_id"]
        row = {"job_id": job_id, "erased_at": datetime.now(UTC), "erased_by": "bob", "why": "", "files": 4, "size": 9}
        with api.ledger.write() as conn:
            conn.execute(insert(erasures).values(**row))
        said = [api.client().get(f"/aiprod/job/{job_id}/{path}") for path in ("video", f"take/{take}")]

        assert [answer.status_code for answer in said] == [404, 404]
        assert "were deleted by bob" in said[0].json()["detail"]
