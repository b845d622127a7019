"""A minute's work: one pass sends, tells and raises, and a second at once has nothing left to do."""

from __future__ import annotations

import pytest

from tests import vendor
from tests.market import Market


def test_one_minute_does_all_of_it_and_the_next_finds_it_done(local_market: Market) -> None:
    (row,) = local_market.pipeline.enlist([{"prompt": "a", "seconds": 1}], campaign="spring", amount=10**7, by="ada")
    local_market.pipeline.carry([row], run_id="run-1")
    local_market.run(row)
    local_market.pipeline.assemble([row])
    local_market.pipeline.deliver([row])
    local_market.pipeline.settle("run-1")
    first = local_market.pipeline.flush_metrics()
    assert first.flushed.leader and first.flushed.folded > 0
    assert first.campaigns == ("spring",)
    assert {change.alert for change in first.changes} == {"prices_old"}, "the scripted vendors' prices are of January"
    (told,) = local_market.events("campaign_digest")
    assert (told["delivered"], told["waiting"], told["over"], told["cost_micros"]) == (1, 0, True, 120_000)
    second = local_market.pipeline.flush_metrics()
    assert (second.changes, second.campaigns) == ((), ())


def test_a_vendor_who_is_asked_for_credits_holds_up_nothing_that_people_wait_for(
    local_market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(self: object) -> None:
        raise ZeroDivisionError("whatever an adapter does")

    monkeypatch.setattr(vendor.ListingVendor, "tells_credits", True)
    monkeypatch.setattr(vendor.ListingVendor, "checkup", breaks)
    with pytest.raises(ZeroDivisionError):
        local_market.pipeline.flush_metrics()
    assert [told["alert"] for told in local_market.events("alert_raised")][:1] == ["prices_old"]
