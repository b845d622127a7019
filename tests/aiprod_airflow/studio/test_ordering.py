"""A page that is sent twice is one job, a mistake is told beside its field, and a price is shown before anything is entered."""

from __future__ import annotations

from typing import Any

from tests.aiprod_airflow.api.people import API

STUDIO = "/aiprod/studio"
OURS = {"Origin": "http://testserver"}
TYPED: dict[str, Any] = {"by": "prompt", "prompt": "a lighthouse at dusk", "preset": "brand_campaign", "seconds": "2"}


def sent(api: API, path: str, **typed: Any) -> Any:
    return api.browser("alice", **OURS).post(f"{STUDIO}/{path}", data={**TYPED, **typed}, follow_redirects=False)


def test_an_order_leads_to_its_job_and_starts_its_run(api: API) -> None:
    airflow = api.recorded()
    said = sent(api, "new", key="abc")
    job_id = said.headers["location"].rsplit("/", 1)[-1]

    assert said.status_code == 303
    assert (api.look(job_id)["order"]["prompt"], api.look(job_id)["created_by"]) == (TYPED["prompt"], "alice")
    assert [run for run, _ in airflow.started] == [job_id]


def test_the_same_page_sent_twice_is_one_job(api: API) -> None:
    api.recorded()

    assert sent(api, "new", key="twice").headers["location"] == sent(api, "new", key="twice").headers["location"]
    assert len(api.client().get("/aiprod/jobs").json()["jobs"]) == 1


def test_a_mistake_is_told_at_its_field_and_nothing_typed_is_lost(api: API) -> None:
    api.recorded()
    said = sent(api, "new", seconds="soon", audio_style="calm piano")

    assert said.status_code == 422
    assert 'aria-describedby="wrong-seconds"' in said.text
    assert 'value="calm piano"' in said.text and ">a lighthouse at dusk</textarea>" in said.text
    assert api.client().get("/aiprod/jobs").json()["jobs"] == []


def test_the_price_follows_what_is_typed_and_enters_nothing(api: API) -> None:
    api.recorded()
    said = sent(api, "estimate", audio="on")
    offer = api.client().post("/aiprod/cost-estimate", json={"prompt": "x", "preset": "brand_campaign", "seconds": 2}).json()

    assert said.status_code == 200
    assert f'<span class="amount">${offer["estimate"]["expected"] / 1e6:.2f}</span>' in said.text
    assert all(one["backend"] in said.text for one in offer["backends"])
    assert api.client().get("/aiprod/jobs").json()["jobs"] == []


def test_what_it_cannot_price_yet_it_says_in_words(api: API) -> None:
    api.recorded()

    assert "the price appears here" in sent(api, "estimate", prompt="").text
    assert 'data-wrong="seconds"' in sent(api, "estimate", seconds="soon").text
    assert "nobody&#39; is unknown" in sent(api, "estimate", preset="nobody").text
    assert "not a member" in api.browser("eve", **OURS).post(f"{STUDIO}/estimate", data={**TYPED, "project": "acme"}).text
