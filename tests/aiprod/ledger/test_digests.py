"""A campaign is told of when it moved on, not for each of its jobs, and once when it is over."""

from __future__ import annotations

from datetime import datetime, timedelta

from aiprod.ledger import Connection, Ledger, digests, gates, jobs, queue, results
from aiprod.ledger.queue import Waiting
from aiprod.models import Delivery, Estimate, JobSpec, StoredFile
from tests.desk import HOUR, NOW, manifest, rows

FILE = StoredFile(path="p", url="u", sha256="s", size=1)
MINUTE = timedelta(minutes=1)


def enter(ledger: Ledger, count: int, campaign: str | None = "spring") -> None:
    with ledger.write() as conn:
        for n in range(count):
            name = f"{campaign}-{n}"
            jobs.enter(conn, name, JobSpec(prompt="a"), now=NOW, campaign=campaign)
            price = Estimate(tariff="list", lines=(), expected=1, worst_case=1)
            jobs.write_manifest(conn, manifest(name), price, ["runway"], by="test", now=NOW)
            wait = Waiting(job_id=name, version=1, reason="campaign", message="m", due_at=NOW, since=NOW)
            queue.put(conn, wait)


def deliver(conn: Connection, job_id: str, at: datetime) -> None:
    queue.take(conn, job_id, now=at)
    files = {"video": FILE, "poster": FILE, "contact_sheet": FILE, "manifest": FILE}
    scores = {"quality": None, "technical": 1.0, "semantic": None, "semantic_status": "unscored"}
    results.deliver(conn, Delivery(job_id=job_id, version=1, cost=0, **files, **scores), now=at)


def told(ledger: Ledger, at: datetime) -> list[tuple[int, int, int]]:
    with ledger.write() as conn:
        return [(d.delivered, d.waiting, d.failed) for d in digests.digest(conn, now=at)]


def test_many_deliveries_are_one_event_an_hour_and_one_at_the_end(ledger: Ledger) -> None:
    enter(ledger, 4)
    assert told(ledger, NOW) == [], "nothing happened yet"
    with ledger.write() as conn:
        deliver(conn, "spring-0", NOW)
    assert told(ledger, NOW + MINUTE) == [(1, 3, 0)]
    with ledger.write() as conn:
        deliver(conn, "spring-1", NOW + 2 * MINUTE)
        deliver(conn, "spring-2", NOW + 2 * MINUTE)
    assert told(ledger, NOW + 3 * MINUTE) == []
    assert told(ledger, NOW + 2 * HOUR) == [(3, 1, 0)]
    assert told(ledger, NOW + 4 * HOUR) == [], "it stands as it was told"
    with ledger.write() as conn:
        queue.take(conn, "spring-3", now=NOW + 4 * HOUR)
        jobs.fail(conn, "spring-3", 1, "route", "no", code="JobFailed", now=NOW + 4 * HOUR)
    assert told(ledger, NOW + 4 * HOUR + MINUTE) == [(3, 0, 1)]
    assert told(ledger, NOW + 9 * HOUR) == []
    assert len(rows(ledger, "outbox")["outbox"]) == 3


def test_jobs_of_no_campaign_are_told_of_by_themselves(ledger: Ledger) -> None:
    enter(ledger, 1, None)
    with ledger.write() as conn:
        deliver(conn, "None-0", NOW)
    assert told(ledger, NOW + MINUTE) == []


def test_what_was_held_back_for_an_hour_is_told_though_nothing_happened_for_hours(ledger: Ledger) -> None:
    enter(ledger, 2)
    with ledger.write() as conn:
        deliver(conn, "spring-0", NOW)
    assert told(ledger, NOW) == [(1, 1, 0)]
    with ledger.write() as conn:
        queue.take(conn, "spring-1", now=NOW)
        jobs.attach_run(conn, "run-1", "spring-1", 1, now=NOW)
        assert [d.running for d in digests.standings(conn, now=NOW + 5 * HOUR)] == [1]
    assert told(ledger, NOW + 5 * HOUR) == [(1, 0, 0)]


def test_a_campaign_is_over_when_the_rest_was_cancelled_or_its_run_never_ended(ledger: Ledger) -> None:
    enter(ledger, 3)
    with ledger.write() as conn:
        deliver(conn, "spring-0", NOW)
        for n in (1, 2):
            queue.take(conn, f"spring-{n}", now=NOW)
        gates.cancel_job(conn, "spring-1", by="ann", now=NOW)
        jobs.attach_run(conn, "run-1", "spring-2", 1, now=NOW)
        (during,) = digests.standings(conn, now=NOW + HOUR)
        (after,) = digests.standings(conn, now=NOW + 7 * HOUR)
    assert (during.over, during.cancelled, during.running) == (False, 1, 1)
    assert (after.over, after.failed) == (True, 1)
