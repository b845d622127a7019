"""A campaign is told of when it moved on, not for each of its jobs, and once when it is over."""

from __future__ import annotations

from datetime import datetime, timedelta

from aiprod.ledger import Connection, Ledger, digests, jobs, queue, results
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
