"""The campaign that is shipped can be planned as it stands."""

from __future__ import annotations

from pathlib import Path

from aiprod.bulk.plan import Wanted, plan
from aiprod.bulk.sources import load
from tests.aiprod.bulk.campaign import Campaign

SPRING = Path(__file__).parents[3] / "examples" / "campaigns" / "spring.csv"


def test_every_row_of_the_example_can_be_ordered(campaign: Campaign) -> None:
    wanted = Wanted(campaign="spring", source=str(SPRING), naming="{campaign}/{aspect_ratio}/{row}.mp4")
    made = plan(campaign.market.ledger, campaign.market.catalog, wanted, load(str(SPRING)))
    assert (len(made.to_enter), made.problems, made.duplicates) == (12, (), ())
