"""Two people and a real Airflow: order, estimate, edit, approve, watch, play, read the judgement, make again, refuse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.auditor import audit
from tests.browser.browsing import PATIENCE, Studio, played
from tests.browser.house import DAG, House, house

pytestmark = [pytest.mark.browser, pytest.mark.airflow, pytest.mark.slow]

#: Milliseconds in which tasks start, vendors render, and clips are judged.
WORK = 180_000

expect.set_options(timeout=PATIENCE)

FIRST = "a harbour before sunrise (walk one)"
SECOND = "the harbour master lights his lamp [[runway=corrupt]] (walk one)"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("walk")) as opened:
        yield opened


@pytest.fixture
def studio(home: House, chromium: Any) -> Iterator[Studio]:
    opened = Studio(home.airflow.url, chromium, lambda name, role: home.airflow.token(name))
    yield opened
    opened.close()
    assert opened.troubles == []
    with home.ledger.read() as conn:
        assert audit(conn) == []


def test_a_video_from_its_first_word_to_its_second_version(home: House, studio: Studio) -> None:
    page = _comes_in_by_the_front_door(home, studio, "alice")
    alice = page.frame_locator("iframe")
    job_id = _orders_two_shots(alice)

    # Airflow's run asks about the money; the page hears of it by itself, then and ever after.
    expect(alice.get_by_text("Needs approval").first).to_be_visible(timeout=WORK)
    alice.locator("html").evaluate("page => { page.dataset.same = 'yes'; }")
    _makes_a_shot_longer(alice)
    alice.locator("html").evaluate("page => { page.dataset.same = 'yes'; }")
    bob = studio.page("bob")
    bob.goto(studio.at("/needs-you"))
    bob.get_by_role("article").filter(has_text="a harbour").get_by_role("button", name=re.compile("^Approve")).click()
    bob.wait_for_url(re.compile(f"/studio/job/{job_id}"))
    expect(alice.get_by_text("bob approved up to")).to_be_visible()
    expect(alice.get_by_role("progressbar").first).to_be_visible(timeout=WORK)
    _looks_at_the_video_and_delivers_it(bob)
    expect(alice.locator("#head").get_by_text("Delivered")).to_be_visible(timeout=WORK)
    expect(alice.locator("html")).to_have_attribute("data-same", "yes")

    assert played(alice.locator("video[data-main]")) > 0.2
    _reads_why_a_take_was_not_good_enough(alice)
    costs = home.job(job_id)["costs"]
    assert costs["held"] == 0 < costs["charged"] == home.billed("walk one")
    home.airflow.wait_run(DAG, job_id, timeout=120)
    _makes_the_second_shot_again(alice, bob, home, job_id)

    # The same page is a tab of the run.
    page.goto(f"{home.airflow.url}/dags/{DAG}/runs/{job_id}/plugin/studio_run")
    expect(page.frame_locator("iframe").get_by_text("version 3").first).to_be_visible()


def test_who_ordered_may_not_approve_and_what_a_second_person_refuses_costs_nothing(home: House, studio: Studio) -> None:
    alice = studio.page("alice")
    alice.goto(studio.at("/new"))
    alice.get_by_label("What the video shows").first.fill("a gold watch falls through milk (walk two)")
    alice.get_by_label("Premium spot").check()
    alice.get_by_label("Seconds").first.fill("2")
    expect(alice.locator("#offer")).to_contain_text("A person approves")
    alice.get_by_role("button", name="Order").click()
    alice.wait_for_url(re.compile("/studio/job/"))
    job_id = alice.url.rsplit("/", 1)[-1]
    expect(alice.get_by_text("Needs approval").first).to_be_visible(timeout=WORK)
    expect(alice.get_by_role("button", name=re.compile("^Approve"))).to_be_disabled()

    bob = studio.page("bob", phone=True)
    bob.goto(studio.at(f"/job/{job_id}"))
    bob.get_by_role("button", name="Refuse", exact=True).click()
    bob.locator("#reject").get_by_label(re.compile("^Why")).fill("Not with our milk.")
    bob.locator("#reject").get_by_role("button", name="Refuse", exact=True).click()
    expect(alice.locator("#head").get_by_text("Refused")).to_be_visible(timeout=WORK)

    home.airflow.wait_run(DAG, job_id, timeout=120)
    assert home.airflow.run(DAG, job_id)["state"] == "success"
    assert home.billed("walk two") == home.job(job_id)["costs"]["charged"] == 0


def _comes_in_by_the_front_door(home: House, studio: Studio, name: str) -> Any:
    """Log in as Airflow asks for it, and open the studio from its navigation."""
    page = studio.page(name)
    page.context.clear_cookies()
    page.goto(studio.url)
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(home.airflow.password(name))
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Studio").first.click()
    expect(page.frame_locator("iframe").get_by_role("heading", name="Jobs")).to_be_visible()
    return page


def _orders_two_shots(alice: Any) -> str:
    """The price is there before the order is, and follows what is typed. Returns the job's id."""
    alice.get_by_role("link", name="New job").click()
    alice.get_by_label("Shot by shot").check()
    alice.get_by_label("What it shows").fill(FIRST)
    alice.get_by_label("Seconds").locator("visible=true").fill("2")
    alice.get_by_label("Brand campaign").check()
    offer = alice.locator("#offer .amount")
    expect(offer).to_be_visible()
    for_one = offer.inner_text()
    alice.get_by_role("button", name="Add a shot").click()
    second = alice.get_by_role("group", name="Shot 2")
    second.get_by_label("What it shows").fill(SECOND)
    second.get_by_label("Seconds").fill("4")
    expect(offer).not_to_have_text(for_one)
    alice.get_by_role("button", name="Order").click()
    job_id = alice.locator(".crumb code")
    expect(job_id).to_be_visible()
    return str(job_id.inner_text())


def _makes_a_shot_longer(alice: Any) -> None:
    """Another version at another price, asked about anew."""
    asked = alice.locator("#ask-title")
    before = asked.inner_text()
    alice.get_by_role("button", name="Edit shots").click()
    alice.locator("#edit").get_by_role("group", name="Shot 1").get_by_label("Seconds").fill("8")
    alice.locator("#edit").get_by_role("button", name="Save and price").click()
    expect(alice.get_by_text("For version 2.")).to_be_visible(timeout=WORK)
    expect(asked).not_to_have_text(before)


def _looks_at_the_video_and_delivers_it(bob: Any) -> None:
    """Nobody judged whether it shows what was asked, so this preset asks a person."""
    expect(bob.get_by_text("Is this video good enough to deliver?")).to_be_visible(timeout=WORK)
    assert played(bob.locator("video[data-main]")) > 0.2
    bob.get_by_role("button", name="Deliver this video").click()


def _reads_why_a_take_was_not_good_enough(alice: Any) -> None:
    """What was found in it says where it is, and takes the player there."""
    shot = alice.get_by_role("listitem").filter(has_text="lights his lamp").first
    take = shot.get_by_role("article", name="Attempt 1 at runway")
    expect(take).to_contain_text("Not good enough")
    found = take.get_by_role("button", name=re.compile("^Play from")).first
    video = take.locator("video")
    video.evaluate("video => video.addEventListener('seeking', () => { video.dataset.at = video.currentTime; })")
    found.click()
    expect(video).to_have_attribute("data-at", re.compile("[1-9]"))
    assert float(video.get_attribute("data-at")) == pytest.approx(float(found.get_attribute("data-seek")), abs=0.05)
    expect(shot.get_by_role("article", name="Attempt 2")).to_contain_text("Needs a person")


def _makes_the_second_shot_again(alice: Any, bob: Any, home: House, job_id: str) -> None:
    """Priced first, and only what is made again is bought."""
    before = home.job(job_id)["costs"]["charged"]
    alice.get_by_role("button", name="Make shots again").click()
    alice.locator("#redo").get_by_label(re.compile("Shot 2")).check()
    alice.locator("#redo").get_by_role("button", name="Price a new version").click()
    expect(alice.locator("#head").get_by_text("version 3")).to_be_visible()
    expect(alice.get_by_text("The take of version 2 is used again; it costs nothing.")).to_be_visible()
    expect(alice.get_by_text("Needs approval").first).to_be_visible(timeout=WORK)
    assert home.job(job_id)["costs"]["charged"] == before

    bob.goto(bob.url.split("#")[0])
    bob.get_by_role("button", name=re.compile("^Approve")).click()
    _looks_at_the_video_and_delivers_it(bob)
    expect(alice.locator("#head").get_by_text("Delivered")).to_be_visible(timeout=WORK)
    after = home.job(job_id)
    assert [shot["reused_from"] for shot in after["shots"]] == [2, None]
    assert after["costs"]["charged"] > before
