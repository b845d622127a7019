"""One job from its first word to its second version, as people see it: no page is reloaded by hand, no console complains."""

from __future__ import annotations

import re

import pytest

from tests.aiprod_airflow.api.people import API
from tests.browser.browsing import Studio, kept_out, played

pytestmark = pytest.mark.browser


def _job_id(url: str) -> str:
    return url.rsplit("/", 1)[-1]


def test_order_edit_approve_watch_play_and_make_again(studio: Studio, api: API) -> None:
    alice = studio.page("alice")
    alice.goto(studio.at())
    alice.get_by_role("link", name="Order the first video").click()

    # The price is there before the order is, and follows what is typed.
    alice.get_by_label("What the video shows").first.fill("A lighthouse at dusk")
    alice.get_by_label("Brand campaign").check()
    alice.get_by_label("Seconds").first.fill("2")
    alice.locator("#offer .amount", has_text="$0.24").wait_for()
    alice.get_by_role("button", name="Order").click()
    alice.wait_for_url(re.compile("/studio/job/"))
    job_id = _job_id(alice.url)

    # Its run asks; the page hears of it by itself.
    api.pipeline.carry([job_id], run_id=job_id)
    api.pipeline.ask(job_id, run_id=job_id)
    api.pipeline.spend_question(job_id, run_id=job_id, task_id="approve")
    alice.get_by_text("Needs approval").first.wait_for()

    # A longer shot is another version at another price, asked about anew.
    old = alice.locator("#ask-title").inner_text()
    alice.get_by_role("button", name="Edit shots").click()
    alice.locator("#edit").get_by_label("Seconds").fill("4")
    alice.get_by_role("button", name="Save and price").click()
    alice.get_by_text("For version 2.").wait_for()
    assert alice.locator("#ask-title").inner_text() != old

    # Somebody else approves; the first page sees the video without a reload.
    bob = studio.page("bob")
    bob.goto(studio.at("/needs-you"))
    bob.get_by_role("button", name=re.compile("^Approve")).click()
    bob.wait_for_url(re.compile(f"/studio/job/{job_id}"))
    api.cut(job_id)
    if api.look(job_id)["review"]:
        bob.get_by_role("button", name="Deliver this video").click()
        bob.get_by_text("Is this video good enough to deliver?").wait_for(state="hidden")
    api.pipeline.deliver([job_id])
    api.pipeline.settle(job_id)
    alice.get_by_text("Delivered").first.wait_for()
    assert played(alice.locator("video[data-main]")) > 0.2

    # Once more: priced first, nothing bought.
    charged = api.look(job_id)["costs"]["charged"]
    bob.reload()
    bob.get_by_role("button", name="Make shots again").click()
    bob.get_by_label(re.compile("Shot 1")).check()
    bob.get_by_role("button", name="Price a new version").click()
    bob.get_by_text("version 3").first.wait_for()
    assert api.look(job_id)["costs"]["charged"] == charged > 0


def test_a_dialog_is_left_by_the_keyboard_and_nothing_happened(studio: Studio, api: API) -> None:
    job_id = api.asked()
    page = studio.page("bob")
    page.goto(studio.at(f"/job/{job_id}"))
    page.get_by_role("button", name="Refuse").focus()
    page.keyboard.press("Enter")
    page.locator("#reject[open]").wait_for()
    assert kept_out(page) == []
    page.keyboard.press("Escape")
    page.locator("#reject:not([open])").wait_for(state="hidden")

    assert api.look(job_id)["status"] == "waiting_approval"


def test_inside_airflow_the_page_is_framed_and_follows_its_colours(studio: Studio, api: API) -> None:
    api.asked()
    page = studio.page("bob", "admin")
    page.goto(f"{studio.url}/plugin/studio")
    frame = page.frame_locator("iframe")
    frame.get_by_role("heading", name="Jobs").wait_for()
    page.evaluate("document.documentElement.classList.add('dark')")
    frame.locator("html.dark").wait_for(state="attached")
