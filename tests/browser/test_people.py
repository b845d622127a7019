"""What the pages say to who may not, whose session has ended, and who has to decide about money that nobody can account for."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from playwright.sync_api import expect

from aiprod.errors import AiprodError
from tests.aiprod_airflow.api.people import API
from tests.browser.browsing import PATIENCE, Studio, kept_out, swaps

pytestmark = pytest.mark.browser

expect.set_options(timeout=PATIENCE)

#: Every button with which money moves, or stops.
ACTS = re.compile("Approve|Refuse|Cancel|Order$|Make shots again|Edit shots|Deliver|It never ran|write it off")


def approved(api: API, **changes: Any) -> str:
    """A job whose money somebody approved, and whose renders have not begun."""
    job_id = api.asked(**changes)
    amount = api.look(job_id)["approval"]["amount"]
    assert api.client("bob").post(f"/aiprod/job/{job_id}/approve", json={"version": 1, "amount": amount}).status_code == 200
    return job_id


def parked(api: API) -> str:
    """A job with a purchase whose answer was lost, at a vendor that cannot be asked."""
    job_id = approved(api, prompt="a lighthouse [[runway=lose]]", backend="runway")
    api.pipeline.route([job_id], 1)
    with suppress(AiprodError):
        api.pipeline.render([job_id], "runway", 1)
    return job_id


def end_session(studio: Studio, page: Any, name: str, role: str = "user") -> None:
    """What a browser holds the morning after: a token of theirs that ran out."""
    user = SimpleAuthManagerUser(username=name, role=role)
    studio.log_in(page, get_auth_manager().generate_jwt(user, expiration_time_in_seconds=-60))


@pytest.mark.usefixtures("mute")
def test_who_may_only_look_finds_no_button_and_is_refused_in_plain_words(studio: Studio, api: API) -> None:
    asked, lost = api.asked(), parked(api)
    page = studio.page("vera", "viewer")
    for path, sees in (
        ("", asked),
        (f"/job/{asked}", "You may look, but not approve."),
        ("/needs-you", lost),
        ("/new", "You may look at prices here"),
    ):
        page.goto(studio.at(path))
        expect(page.get_by_text(sees).first).to_be_visible()
        expect(page.get_by_role("button", name=ACTS)).to_have_count(0)
        assert kept_out(page) == [], path

    # What the missing button would have sent.
    amount = str(api.look(asked)["approval"]["amount"])
    forged = {f"/job/{asked}/approve": {"version": "1", "amount": amount}, f"/job/{asked}/cancel": {}, "/new": {"prompt": "x"}}
    for path, form in forged.items():
        said = page.request.post(studio.at(path), form=form, headers={"Origin": studio.url})
        assert (said.status, "You may not do this" in said.text()) == (403, True), said.text()
        assert re.search("needs the right|may only look|may not", said.text()), said.text()
    assert api.look(asked)["status"] == "waiting_approval"


@pytest.mark.parametrize(("path", "field"), [("", "Search ids and prompts"), ("/new", "What the video shows")])
def test_an_ended_session_says_what_to_do_and_swaps_no_login_page_in(studio: Studio, api: API, path: str, field: str) -> None:
    api.order()
    page = studio.page("alice")
    page.goto(studio.at(path))
    page.wait_for_load_state("networkidle")
    swapped = swaps(page)
    end_session(studio, page, "alice")
    page.get_by_label(field).first.fill("a harbour at night")

    expect(page.get_by_role("alert").get_by_text("Your session has ended")).to_be_visible()
    expect(page.get_by_role("link", name="Log in again")).to_have_attribute("href", re.compile("/auth/login"))
    assert swapped() == 0
    # Nobody types it twice.
    expect(page.get_by_label(field).first).to_have_value("a harbour at night")
    assert kept_out(page) == []
    studio.forgive("401")


def test_an_answer_after_the_session_ended_is_not_taken_and_the_page_says_so(studio: Studio, api: API) -> None:
    job_id = api.asked()
    page = studio.page("bob")
    page.goto(studio.at(f"/job/{job_id}"))
    end_session(studio, page, "bob")
    page.get_by_role("button", name=re.compile("^Approve")).click()

    expect(page.get_by_role("heading", name="Your session has ended")).to_be_visible()
    expect(page.get_by_text("Nothing you sent was taken.")).to_be_visible()
    assert kept_out(page) == []
    assert api.look(job_id)["status"] == "waiting_approval"
    studio.forgive("401")

    studio.log_in(page, api.token("bob", "user"))
    page.goto(studio.at(f"/job/{job_id}"))
    page.get_by_role("button", name=re.compile("^Approve")).click()
    expect(page.get_by_text("bob approved up to")).to_be_visible()


@pytest.mark.usefixtures("mute")
def test_a_parked_purchase_is_answered_in_needs_you_and_its_money_comes_back(studio: Studio, api: API) -> None:
    job_id = parked(api)
    held = api.look(job_id)["costs"]["held"]
    page = studio.page("bob")
    page.goto(studio.at("/needs-you"))
    waits = page.get_by_role("article").filter(has_text=job_id)
    expect(waits).to_contain_text("stays set aside until somebody answers")

    waits.get_by_text("It never ran").first.click()
    never = waits.locator("details[open]")
    expect(never).to_contain_text("you pay twice")
    never.get_by_label("How you know").fill("Runway’s page lists no such task")
    never.get_by_role("button", name="It never ran").click()

    expect(page.get_by_text("Nothing waits for you")).to_be_visible()
    assert (held > 0, api.look(job_id)["costs"]["held"]) == (True, 0)


def test_a_shot_that_a_vendor_refuses_is_shown_with_its_reason_and_its_bill(studio: Studio, api: API) -> None:
    job_id = approved(api, prompt="a riot [[runway=moderated]]", backend="runway")
    page = studio.page("alice")
    page.goto(studio.at(f"/job/{job_id}"))
    with suppress(AiprodError):
        api.cut(job_id)
    api.pipeline.settle(job_id)

    attempt = page.get_by_role("article", name=re.compile("Attempt 1 at runway"))
    expect(attempt.locator(".why")).to_contain_text("SAFETY.INPUT.TEXT")
    expect(attempt).to_contain_text("charged")
    expect(page.get_by_role("main")).to_contain_text("Failed")
    expect(page.get_by_role("button", name="Make shots again")).to_be_visible()
    assert kept_out(page) == []
