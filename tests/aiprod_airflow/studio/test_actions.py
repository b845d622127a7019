"""What is pressed on a page is the API's own answer about exactly what was shown; a no is said on the page."""

from __future__ import annotations

from typing import Any

from tests.aiprod_airflow.api.people import API

STUDIO = "/aiprod/studio"
#: What a browser sends with a form of our own page.
OURS = {"Origin": "http://testserver"}


def press(api: API, job_id: str, button: str, who: str = "bob", role: str = "user", **typed: Any) -> Any:
    client = api.browser(who, role, **OURS)
    return client.post(f"{STUDIO}/job/{job_id}/{button}", data=typed, follow_redirects=False)


def amount(api: API, job_id: str) -> int:
    return int(api.look(job_id)["approval"]["amount"])


def test_an_approval_is_of_the_amount_on_the_page_and_leads_back_to_it(api: API) -> None:
    airflow = api.recorded()
    job_id = api.asked()
    said = press(api, job_id, "approve", version=1, amount=amount(api, job_id))

    assert (said.status_code, said.headers["location"]) == (303, f"{STUDIO}/job/{job_id}")
    assert api.look(job_id)["envelope"]["approved_by"] == "bob"
    assert airflow.answered == [(job_id, "approve", "Approve")]


def test_a_price_that_moved_on_is_not_approved_and_the_page_says_so(api: API) -> None:
    api.recorded()
    job_id = api.asked()
    said = press(api, job_id, "approve", version=1, amount=amount(api, job_id) + 1)

    assert said.status_code == 409
    assert "That was not done." in said.text and "May this job spend up to" in said.text
    assert api.look(job_id)["envelope"] is None


def test_another_sites_page_presses_nothing(api: API) -> None:
    api.recorded()
    job_id = api.asked()
    typed = {"version": 1, "amount": amount(api, job_id)}
    for headers in ({"Origin": "https://evil.example"}, {}):
        said = api.browser("bob", **headers).post(f"{STUDIO}/job/{job_id}/approve", data=typed)
        assert said.status_code == 403
    assert api.look(job_id)["envelope"] is None


def test_who_may_only_look_presses_nothing(api: API) -> None:
    api.recorded()
    job_id = api.asked()

    assert press(api, job_id, "approve", role="viewer", version=1, amount=amount(api, job_id)).status_code == 403
    assert press(api, job_id, "cancel", role="viewer").status_code == 403
    assert api.look(job_id)["status"] == "waiting_approval"


def test_a_refusal_keeps_its_reason_and_buys_nothing(api: API) -> None:
    api.recorded()
    job_id = api.asked()
    assert press(api, job_id, "reject", version=1, amount=amount(api, job_id), why="too dear").status_code == 303

    assert api.look(job_id)["status"] == "rejected"
    assert "too dear" in api.browser().get(f"{STUDIO}/job/{job_id}").text


def test_edited_shots_are_a_new_version_and_what_was_not_edited_stays(api: API) -> None:
    api.recorded()
    job_id = api.asked(
        prompt=None, seconds=None, shots=[{"prompt": "one", "seconds": 2, "seed": 7}, {"prompt": "two", "seconds": 3}]
    )
    typed = {"shot_prompt": ["one", "two, closer"], "shot_seconds": ["2", "3"], "shot_camera": ["", ""], "shot_seed": ["7", ""]}
    assert press(api, job_id, "manifest", version=1, **typed).status_code == 303

    now = api.look(job_id)["manifest"]["shots"]
    assert [(shot["prompt"], shot["seed"]) for shot in now] == [("one", 7), ("two, closer", None)]
    assert press(api, job_id, "manifest", version=1, **typed).status_code == 409


def test_a_ticked_shot_is_made_again_in_a_new_version(api: API) -> None:
    airflow = api.recorded()
    job_id = api.delivered()
    assert press(api, job_id, "redo", version=1).status_code == 422
    assert press(api, job_id, "redo", version=1, shot="1").status_code == 303

    assert api.look(job_id)["version"] == 2
    assert airflow.started[-1] == (f"{job_id}.v2", {"batch": [job_id]})


def test_what_no_page_of_ours_would_send_is_a_wrong_request(api: API) -> None:
    api.recorded()
    job_id = api.asked()
    for typed in ({}, {"version": "x", "amount": "1"}, {"version": "1", "amount": "-1"}, {"version": "1", "cut_sha": "zz"}):
        assert press(api, job_id, "approve", **typed).status_code == 422


def test_an_edit_says_what_it_changes_in_the_price_and_writes_nothing(api: API) -> None:
    api.recorded()
    job_id = api.asked()
    before = api.look(job_id)
    typed = {"version": 1, "shot_prompt": ["a lighthouse at dawn"], "shot_seconds": ["4"]}
    said = press(api, job_id, "price", **typed)

    assert said.status_code == 200 and api.look(job_id)["revision"] == before["revision"]
    press(api, job_id, "manifest", **typed)
    after = api.look(job_id)
    for view in (before, after):
        assert f"${view['approval']['amount'] / 1e6:.2f}" in said.text
    more = after["estimate"]["expected"] - before["estimate"]["expected"]
    assert f"+${more / 1e6:.2f}" in said.text and more > 0
    assert "A person has to approve" in said.text


def test_an_edit_nobody_could_make_says_so_where_its_price_would_be(api: API) -> None:
    api.recorded()
    job_id = api.asked()
    said = press(api, job_id, "price", version=1, shot_prompt="x", shot_seconds="soon")

    assert said.status_code == 200 and "shots.0.seconds" in said.text
    assert press(api, job_id, "price", role="viewer", version=1).status_code == 403
