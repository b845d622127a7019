"""Files come whole or in ranges, are known by their sum, and only what may be seen is to be had."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.aiprod_airflow.api.people import API, ORDER


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


def test_a_cut_is_had_while_somebody_is_asked_about_it_and_from_a_yes_on_but_not_from_a_no(api: API) -> None:
    """Between the yes and the delivery, whoever looks at the page still has its picture."""
    api.recorded()
    found = {}
    for word in ("approve", "reject"):
        job_id = api.asked(preset="premium_spot", quality_floor=0.5)
        bob, amount = api.client("bob"), api.look(job_id)["approval"]["amount"]
        bob.post(f"/aiprod/job/{job_id}/approve", json={"version": 1, "amount": amount}).raise_for_status()
        api.cut(job_id)
        seen = {"version": 1, "cut_sha": api.look(job_id)["review"]["cut_sha"]}
        asked = bob.get(f"/aiprod/job/{job_id}/poster").status_code
        bob.post(f"/aiprod/job/{job_id}/{word}", json=seen).raise_for_status()
        found[word] = (asked, bob.get(f"/aiprod/job/{job_id}/poster").status_code)

    assert found == {"approve": (200, 200), "reject": (200, 404)}


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
    assert str(path) not in said.text and "/" not in said.json()["detail"]


class TestErase:
    def test_files_and_words_go_and_it_is_kept_who_asked_and_why(self, api: API, job_id: str) -> None:
        take, words = api.look(job_id)["shots"][0]["take_id"], ORDER["prompt"]
        video = Path(api.pipeline.view(job_id).delivery.video.url)  # type: ignore[union-attr]
        assert video.is_file() and words in str(api.look(job_id))
        path = f"/aiprod/job/{job_id}/media"
        said = [api.client("bob").request("DELETE", path, json=body) for body in ({"why": "the customer asked"}, None)]

        assert [answer.status_code for answer in said] == [200, 200]
        kept = [(answer.json()["erased_by"], answer.json()["why"]) for answer in said]
        assert kept == [("bob", "the customer asked")] * 2
        assert not video.exists() and words not in str(api.look(job_id))
        gone = [api.client().get(f"/aiprod/job/{job_id}/{name}") for name in ("video", f"take/{take}")]
        assert [answer.status_code for answer in gone] == [404, 404]
        assert "were deleted by bob" in gone[0].json()["detail"]

    def test_what_is_not_over_is_refused(self, api: API) -> None:
        job_id = api.asked()
        said = api.client("bob").delete(f"/aiprod/job/{job_id}/media")

        assert (said.status_code, "can not be erased" in said.json()["detail"]) == (409, True)
        assert api.look(job_id)["erased"] is None

    def test_a_viewer_deletes_nothing(self, api: API, job_id: str) -> None:
        assert api.client("eve", "viewer").delete(f"/aiprod/job/{job_id}/media").status_code == 403
        assert api.client().get(f"/aiprod/job/{job_id}/video").status_code == 200
