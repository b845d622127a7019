"""A campaign is approved once, and its cap is under every purchase of its jobs."""

from __future__ import annotations

from aiprod.ledger import Ledger, campaigns, caps, jobs
from aiprod.models import USD, JobSpec
from tests.desk import NOW


def test_the_amount_first_approved_stands(ledger: Ledger) -> None:
    with ledger.write() as conn:
        assert campaigns.approve(conn, "spring", 5 * USD, by="ann") == 5 * USD
        assert campaigns.approve(conn, "spring", 500 * USD, by="bob") == 5 * USD
        found = caps.balance(conn, "campaign", "spring")
    assert found is not None and found.cap == 5 * USD


def test_a_job_knows_the_cap_of_its_campaign_and_a_job_by_itself_has_none(ledger: Ledger) -> None:
    with ledger.write() as conn:
        campaigns.approve(conn, "spring", 5 * USD, by="ann")
        jobs.enter(conn, "row-1", JobSpec(prompt="a"), now=NOW, campaign="spring")
        jobs.enter(conn, "alone", JobSpec(prompt="a"), now=NOW)
        cap = campaigns.cap_of(conn, "row-1")
        assert cap is not None and (cap.kind, cap.key, cap.cap) == ("campaign", "spring", 5 * USD)
        assert campaigns.cap_of(conn, "alone") is None
