"""A campaign is approved once, and its cap is under every purchase of its jobs."""

from __future__ import annotations

from datetime import timedelta

from aiprod.ledger import Ledger, campaigns, caps, jobs, queue
from aiprod.ledger.queue import Waiting
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


def test_what_is_said_of_a_campaign_stands_until_something_else_is_said(ledger: Ledger) -> None:
    with ledger.write() as conn:
        assert campaigns.terms(conn, "spring") is None
        campaigns.set_terms(conn, "spring", source="a.csv", naming="{row}.mp4", in_flight=None, by="ann", now=NOW)
        assert campaigns.say(conn, "spring", "paused", by="bob", now=NOW)
        assert not campaigns.say(conn, "spring", "paused", by="eve", now=NOW)
        campaigns.set_terms(conn, "spring", source="b.csv", naming="{row}.mp4", in_flight=3, by="eve", now=NOW)
        found = campaigns.terms(conn, "spring")
        assert found is not None
        assert (found.source, found.in_flight, found.created_by, found.paused_by) == ("b.csv", 3, "ann", "bob")
        assert campaigns.room(conn, since=NOW) == {"spring": 3}
        assert [campaigns.say(conn, "spring", "resumed", by="ann", now=NOW) for _ in range(2)] == [True, False]
        assert campaigns.say(conn, "spring", "cancelled", by="ann", now=NOW)
        assert not campaigns.say(conn, "spring", "paused", by="bob", now=NOW)


def test_a_job_is_active_while_it_waits_or_is_carried_and_unfinished_until_it_is_delivered(ledger: Ledger) -> None:
    with ledger.write() as conn:
        for name in ("waits", "runs", "idle"):
            jobs.enter(conn, name, JobSpec(prompt="a"), now=NOW, campaign="spring")
        queue.put(conn, Waiting(job_id="waits", version=1, reason="campaign", message="", due_at=NOW, since=NOW))
        jobs.attach_run(conn, "run-1", "runs", 1, now=NOW)
        assert campaigns.active(conn, "spring", since=NOW - timedelta(hours=1)) == ["runs", "waits"]
        assert campaigns.active(conn, "spring", since=NOW) == ["waits"], "a run that never ended is not waited for for ever"
        assert campaigns.unfinished(conn, "spring") == ["idle", "runs", "waits"]
