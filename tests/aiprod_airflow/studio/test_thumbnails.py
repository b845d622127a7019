"""A list shows small pictures, to whoever may see the job."""

from __future__ import annotations

import re

from tests.aiprod_airflow.api.people import API

JOB = "/aiprod/studio/job"


def test_a_row_shows_a_few_kilobytes_of_the_poster_and_asks_for_them_once(api: API) -> None:
    api.recorded()
    job_id = api.delivered(prompt="a paper boat", seconds=2)
    client = api.browser("bob")
    listed = client.get("/aiprod/studio").text
    small = client.get(f"{JOB}/{job_id}/thumbnail")

    assert f'src="/aiprod/studio/job/{job_id}/thumbnail"' in listed and "/poster" not in listed
    assert (small.status_code, small.headers["content-type"], small.content[8:12]) == (200, "image/webp", b"WEBP")
    assert len(small.content) < 10_000 < len(client.get(f"/aiprod/job/{job_id}/poster").content)
    again = client.get(f"{JOB}/{job_id}/thumbnail", headers={"If-None-Match": small.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_who_may_not_see_a_job_sees_no_picture_of_it(api: API) -> None:
    api.recorded()
    job_id = api.delivered(prompt="a paper boat", seconds=2, project="acme")

    assert api.browser("alice").get(f"{JOB}/{job_id}/thumbnail").status_code == 200
    assert api.browser("mallory").get(f"{JOB}/{job_id}/thumbnail").status_code == 404
    assert api.client(role=None).get(f"{JOB}/{job_id}/thumbnail").status_code == 401


def test_no_row_shows_a_picture_that_is_not_there(api: API) -> None:
    """A video that was refused is shown to nobody any more, and neither is its poster."""
    api.recorded()
    job_id = api.asked(preset="premium_spot", quality_floor=0.5)
    bob = api.client("bob")
    amount = api.look(job_id)["approval"]["amount"]
    assert bob.post(f"/aiprod/job/{job_id}/approve", json={"version": 1, "amount": amount}).status_code == 200
    api.cut(job_id)
    asked = _pictures(api)
    seen = {"version": 1, "cut_sha": api.look(job_id)["review"]["cut_sha"], "why": "Too dark."}
    assert bob.post(f"/aiprod/job/{job_id}/reject", json=seen).status_code == 200

    assert (asked, _pictures(api)) == ([200], [])


def _pictures(api: API) -> list[int]:
    client = api.browser("bob")
    return [
        client.get(found).status_code for found in re.findall(r'<img src="([^"]*/job/[^"]*)"', client.get("/aiprod/studio").text)
    ]
