"""Every page, light and dark, on a desk and on a phone: nothing runs over the edge; `make pictures` keeps what it saw."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from aiprod.bulk import entering
from aiprod.bulk.plan import Wanted, plan
from aiprod.bulk.rows import Raw, Table
from aiprod.models import JobFilter
from tests.aiprod_airflow.api.people import API
from tests.browser.browsing import Studio, kept_out

pytestmark = pytest.mark.browser

#: Where pictures are kept; without it nobody wants them.
KEEP = os.environ.get("AIPROD_PICTURES")

SHOTS = [
    {
        "prompt": "A lighthouse on black rocks at dusk, heavy sea, spray in the beam of light",
        "seconds": 2,
        "camera": "slow push in",
    },
    {"prompt": "The keeper climbs a spiral staircase with a storm lantern", "seconds": 3, "camera": "from above, turning"},
    {"prompt": "The lamp room, glass streaked with rain, the light turns once", "seconds": 2},
]

#: Not the turning ring of a player that is about to.
_FIRST_FRAME = """video => new Promise(shown => {
  setTimeout(shown, 10000);
  if (video.readyState >= 4) shown();
  video.addEventListener("canplaythrough", shown);
  video.preload = "auto";
})"""

#: So long that what is ordered of the test vendor stands below the edge of every box.
RAIN = (
    "Rain on a tin roof, close: drops run along the edge and fall in front of a dark window, evening light, a lamp behind the "
    "glass; the camera rises slowly until the whole street is seen, wet cobbles, a bicycle against the wall, nobody outside, "
    "the last drop falls and the picture holds"
)


def house(api: API) -> dict[str, str]:
    """One job of every kind; returns the ones that have a picture of their own."""
    alice = api.client("alice")
    made = {"delivered": api.delivered(prompt="A paper boat crosses a puddle in the rain", seconds=4, project="spring")}
    api.delivered(prompt="Neon signs reflected on a wet street in Osaka, people with umbrellas", seconds=3, aspect_ratio="9:16")
    story: dict[str, Any] = {"preset": "brand_campaign", "prompt": None, "seconds": None, "shots": SHOTS, "budget_usd": "12.50"}
    made["asks"] = api.asked(alice, **story)
    tried = api.asked(alice, prompt=f"{RAIN} [[runway=fail]] [[veo3=bad]]", seconds=3, preset="brand_campaign")
    look = api.look(tried)
    approve = {"version": 1, "amount": look["approval"]["amount"]}
    assert api.client("bob").post(f"/aiprod/job/{tried}/approve", json=approve).status_code == 200
    try:
        api.cut(tried)
    except Exception as error:  # noqa: BLE001 - that a job fails is what the picture shows
        print(error)
    api.pipeline.settle(tried)
    made["tried"] = tried
    reviewed = api.asked(
        alice, prompt="A red kite over dunes, the string tight", preset="premium_spot", quality_floor=0.5, seconds=3
    )
    look = api.look(reviewed)
    approve = {"version": 1, "amount": look["approval"]["amount"]}
    assert api.client("bob").post(f"/aiprod/job/{reviewed}/approve", json=approve).status_code == 200
    api.cut(reviewed)
    made["review"] = reviewed
    refused = api.asked(alice, prompt="Ten thousand balloons over a stadium", seconds=5)
    api.client("bob").post(f"/aiprod/job/{refused}/reject", json={"version": 1, "why": "Too dear for a test."})
    _campaign(api)
    return made


def _campaign(api: API) -> None:
    """Six rows, approved together: three delivered, the others still wait."""
    kinds = {"umbrella": "An umbrella", "scarf": "A scarf", "raincoat": "A raincoat"}
    kinds |= {"boots": "A pair of boots", "gloves": "A pair of gloves", "hat": "A straw hat"}
    cells = [{"key": key, "prompt": f"{thing} on a turning stand, soft light", "seconds": 1} for key, thing in kinds.items()]
    for each in (cells[0], cells[2]):
        each["backend"] = "animatic"
    rows = tuple(Raw(line=n, cells=each, columns={}) for n, each in enumerate(cells, 1))
    work = api.pipeline
    made = plan(api.ledger, work.catalog, Wanted(campaign="autumn-shop", source="products.csv"), Table(rows=rows))
    entering.approve(api.ledger, work.catalog, made, by="alice")
    entering.enter(api.ledger, work.catalog, made)
    for job in work.listing(JobFilter(campaign="autumn-shop")).jobs[:3]:
        work.carry([job.job_id], run_id=f"shop-{job.job_id}")
        assert work.ask(job.job_id, run_id=f"shop-{job.job_id}").answer == "approved"
        api.cut(job.job_id)
        work.deliver([job.job_id])
        work.settle(f"shop-{job.job_id}")


def test_every_page_in_every_dress(studio: Studio, api: API) -> None:
    made = house(api)
    pages = {
        "jobs": "",
        "job-approval": f"/job/{made['asks']}",
        "job-attempts": f"/job/{made['tried']}",
        "job-review": f"/job/{made['review']}",
        "job-delivered": f"/job/{made['delivered']}",
        "new": "/new",
        "needs-you": "/needs-you",
        "money": "/money",
        "campaigns": "/campaigns",
        "run": "/run?run_id=of-no-job",
    }
    # Every colour and every width; each with each only for who wants the pictures.
    dresses = ((False, False), (True, True), *(((False, True), (True, False)) if KEEP else ()))
    found = []
    for dark, phone in dresses:
        page = studio.page(dark=dark, phone=phone)
        for name, path in pages.items():
            page.goto(studio.at(path), wait_until="load")
            if name == "new":
                page.fill("textarea[name=prompt]", "A lighthouse at dusk, waves breaking, slow push in")
                page.wait_for_selector("#offer .amount")
            dress = f"{name}-{'dark' if dark else 'light'}-{'phone' if phone else 'desktop'}"
            wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
            found += [f"{dress} runs over the edge"] if wide else []
            found += [f"{dress}: {one}" for one in kept_out(page)]
            if KEEP and name != "run":
                _take(page, Path(KEEP) / f"studio-{dress}.png")
        page.context.close()
    assert not found, "\n".join(found)


def _take(page: Any, into: Path) -> None:
    """A picture of the whole page, when every video on it shows its first frame."""
    for video in page.locator("video").all():
        video.evaluate(_FIRST_FRAME)
    page.screenshot(path=into, full_page=True, animations="allow")
