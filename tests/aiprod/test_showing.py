"""A shot shows what was tried for it and how far it is."""

from __future__ import annotations

import pytest

from aiprod.ledger import sightings
from aiprod.ledger.engine import now as database_now
from aiprod.models import JobState
from aiprod.views import ShotView
from tests.market import Market


def shot(market: Market) -> ShotView:
    (found,) = market.pipeline.view("job-1").shots
    return found


def test_a_shot_goes_from_waiting_to_accepted(local_market: Market) -> None:
    local_market.approved(unseen := "a lighthouse")
    assert (shot(local_market).status, shot(local_market).prompt) == ("waiting", unseen)
    local_market.pipeline.route(["job-1"], 1)
    assert shot(local_market).status == "rendering"
    local_market.render()
    assert shot(local_market).status == "judging"
    local_market.pipeline.score(["job-1"], 1)
    done = shot(local_market)
    assert (done.status, done.take_id) == ("accepted", local_market.only().purchase_id)
    assert (done.attempts[0].verdict, done.attempts[0].charged) == ("accepted", local_market.only().charged)


@pytest.mark.parametrize(("order", "status"), [("bad", "rejected"), ("fail", "failed")])
def test_a_shot_that_did_not_work_out_says_how(local_market: Market, order: str, status: str) -> None:
    local_market.bought(f"[[runway={order}]]")
    local_market.pipeline.score(["job-1"], 1)
    seen = shot(local_market)
    assert (seen.status, seen.take_id) == (status, None)
    assert (seen.attempts[0].findings != ()) == (order == "bad")


def test_a_running_render_shows_how_far_it_was_when_it_was_last_seen(local_market: Market) -> None:
    local_market.bought("[[runway=slow:600]]")
    first = shot(local_market).attempts[0]
    assert first.seen_at is not None and 0 <= (first.progress or 0) < 0.1
    with local_market.ledger.write() as conn:
        conn.exec_driver_sql("DELETE FROM sightings")
        told = [(local_market.only().vendor_id or "", JobState(state="running", progress=0.25))]
        sightings.see(conn, "runway", told, now=database_now(conn))
    assert (shot(local_market).progress, shot(local_market).attempts[0].progress) == (0.25, 0.25)
    assert shot(local_market).attempts[0].parked is False
