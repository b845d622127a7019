"""What is not wanted any more is stopped where it can be, and paid for where it cannot."""

from __future__ import annotations

from typing import Any

import pytest

from aiprod import cancelling
from aiprod.errors import JobFailed
from tests.market import Market


def cancelled(market: Market, job_id: str = "job-1") -> list[str]:
    return list(cancelling.cancel_job(market.ledger, market.catalog, job_id, by="somebody").renders)


@pytest.mark.parametrize(
    ("order", "state", "charged"),
    [("stops", "cancelled", True), ("stops-free", "cancelled", False), ("forgets", "cancelled", True)],
)
def test_what_the_vendor_stopped_is_settled_at_what_it_says(market: Market, order: str, state: str, charged: bool) -> None:
    market.bought(f"[[runway={order},slow:600]]")
    (line,) = cancelled(market)
    bought = market.only()
    assert (bought.state, bought.charged) == (state, bought.hold if charged else 0)
    assert "stopped yes" in line and market.balance().reserved == 0


@pytest.mark.parametrize("order", ["slow:600", "dies-on-cancel,slow:600"], ids=["knows no way", "no answer"])
def test_what_it_did_not_stop_stays_watched_and_is_paid(market: Market, order: str) -> None:
    market.bought(f"[[runway={order}]]")
    (line,) = cancelled(market)
    assert market.only().state == "submitted" and market.balance().reserved == market.only().hold
    assert "stopped no" in line or "stopped unknown" in line
    market.finish()
    market.pipeline.reconcile()
    assert (market.only().state, market.only().charged) == ("succeeded", market.only().hold)


def test_what_ended_in_the_same_moment_is_a_paid_clip_and_no_cancellation(market: Market) -> None:
    market.bought("[[runway=slow:600]]")
    market.finish()
    cancelled(market)
    market.pipeline.reconcile()
    assert market.only().state == "succeeded"


def test_what_was_not_sent_is_given_back_and_never_sent(market: Market) -> None:
    market.routed()
    assert cancelled(market) == []
    assert market.only().state == "voided" and market.balance().reserved == 0
    market.render()
    assert market.accepts() == []


def test_what_the_vendor_said_is_written_down(market: Market) -> None:
    market.bought("[[runway=stops,slow:600]]")
    cancelled(market)
    (event,) = market.events("cancel_asked")
    assert (event["by"], event["stopped"], event["refunded"]) == ("somebody", "yes", "no")


def test_a_render_is_stopped_by_its_vendors_id_and_no_other_is(market: Market) -> None:
    for job_id in ("one", "two"):
        market.bought("[[runway=stops,slow:600]]", job_id=job_id)
    cancelling.stop(market.ledger, market.catalog, "runway", [str(market.only("one").vendor_id), "nobody"], by="somebody")
    assert [market.only(job_id).state for job_id in ("one", "two")] == ["cancelled", "submitted"]


def test_a_vendor_that_is_not_configured_is_named(local_market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    local_market.bought("[[runway=slow:600]]")
    local_market.with_backend("runway", needs=("RUNWAYML_API_SECRET",))
    assert "RUNWAYML_API_SECRET is not set" in cancelled(local_market)[0]


def test_an_unknown_job_is_refused(local_market: Market) -> None:
    with pytest.raises(JobFailed, match="not in the ledger"):
        cancelled(local_market, "nobody")


def test_a_hold_that_somebody_claimed_in_the_same_moment_is_not_counted_as_given_back(
    local_market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_market.routed()
    gives_back = cancelling.release_holds

    def overtaken(*args: Any) -> Any:
        local_market.sql("UPDATE purchases SET state = 'submitting'")
        return gives_back(*args)

    monkeypatch.setattr(cancelling, "release_holds", overtaken)
    done = cancelling.cancel_job(local_market.ledger, local_market.catalog, "job-1", by="ann")
    assert (done.holds, done.money) == (0, 0)
    assert local_market.balance().reserved > 0
