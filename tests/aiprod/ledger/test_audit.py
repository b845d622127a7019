"""The auditor finds nothing in honest books and names every planted fault; it shares no code with tests/auditor.py."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import event, text

from aiprod.ledger import Ledger, purchases
from aiprod.ledger.audit import MARGIN, UNDELIVERED, audit
from aiprod.ledger.schema import STATES
from aiprod.ledger.states import Step
from aiprod.models import USD
from tests.desk import LEASE, NOW, Desk

DAY = timedelta(days=1)


@pytest.fixture
def books(ledger_url, config):
    """A purchase in every state, on each database. Unlike `desk`, nobody minds when its books are broken afterwards."""
    desk = Desk(Ledger(ledger_url), config)
    desk.with_backend("runway", slots=100)
    with desk.in_one_transaction():
        envelope = desk.order()
        for shot, state in enumerate(STATES, start=1):
            desk.bring(desk.hold(envelope, shot=shot).purchase_id, state)
    return desk


def findings(desk, *, now=NOW + LEASE):
    with desk.ledger.read() as conn:
        return [str(finding) for finding in audit(conn, catalog=desk.catalog, now=now)]


def key(desk, state):
    with desk.ledger.read() as conn:
        return next(p.purchase_id for p in purchases.of_job(conn, "job-1", 1) if p.state == state)


def break_in(desk, statement, **values):
    """Change rows behind the back of triggers, checks and foreign keys."""
    with desk.ledger.engine.connect() as conn:
        if conn.dialect.name == "postgresql":
            conn.execute(text("SET session_replication_role = replica"))
        else:
            raw = conn.connection.driver_connection
            raw.execute("PRAGMA foreign_keys = OFF")
            raw.execute("PRAGMA ignore_check_constraints = ON")
            for name in ("postings_no_update", "postings_no_delete"):
                raw.execute(f"DROP TRIGGER IF EXISTS {name}")
        conn.execute(text(statement), values)
        conn.commit()


#: What is planted, into a purchase of which state, and how the finding begins.
FAULTS = [
    ("UPDATE caps SET overrun = overrun + 1 WHERE kind = 'day'", "", "I1 cap day 2026-11-23@UTC: overrun 1, should be 0"),
    (
        "UPDATE caps SET reserved = reserved + 1 WHERE kind = 'job'",
        "",
        "I2 cap job job-1: reserved 28000001, open holds 28000000",
    ),
    ("UPDATE caps SET reserved = reserved - 1 WHERE kind = 'envelope'", "", "I2 cap envelope job-1/1/1: reserved 27999999"),
    ("UPDATE caps SET settled = settled + 1 WHERE kind = 'day'", "", "I2 cap day 2026-11-23@UTC: settled"),
    ("UPDATE purchases SET hold = hold + 1 WHERE purchase_id = :key", "unknown", "I2 cap envelope job-1/1/1: reserved 28000000"),
    ("UPDATE purchases SET charged = charged - 1 WHERE purchase_id = :key", "failed", "I6 purchase {key}: failed"),
    ("UPDATE purchases SET state = 'absent' WHERE purchase_id = :key", "unknown", "I6 purchase {key}: absent"),
    ("UPDATE purchases SET state = 'submitted' WHERE purchase_id = :key", "succeeded", "I6 purchase {key}: submitted"),
    ("UPDATE purchases SET slot_until = 1 WHERE purchase_id = :key", "failed", "I6 purchase {key}: failed"),
    ("UPDATE purchases SET lease_until = 1 WHERE purchase_id = :key", "absent", "I6 purchase {key}: absent"),
    ("UPDATE purchases SET closed_at = NULL WHERE purchase_id = :key", "voided", "I6 purchase {key}: voided"),
    ("DELETE FROM postings WHERE purchase_id = :key AND kind = 'hold'", "held", "I6 purchase {key}: held, hold 7000000"),
    ("DELETE FROM postings WHERE purchase_id = :key AND kind = 'close'", "succeeded", "I6 purchase {key}: succeeded"),
    ("UPDATE postings SET d_settled = 0 WHERE purchase_id = :key", "succeeded", "I6 purchase {key}: succeeded"),
    (
        "INSERT INTO postings (purchase_id, kind, d_reserved, d_settled, dedup, at) VALUES (:key, 'close', 0, 0, 'again', 0)",
        "failed",
        "I6 purchase {key}: failed",
    ),
    ("UPDATE purchases SET lease_until = 1 WHERE purchase_id = :key", "submitting", "I8 purchase {key}: submitting at runway"),
    ("UPDATE purchases SET lease_until = NULL WHERE purchase_id = :key", "submitting", "I8 purchase {key}: submitting at runway"),
    ("UPDATE purchases SET submitted_at = 1 WHERE purchase_id = :key", "unknown", "I5 purchase {key}: unknown at runway"),
    ("UPDATE purchases SET submitted_at = 1 WHERE purchase_id = :key", "submitted", "I5 purchase {key}: submitted at runway"),
    (
        "UPDATE purchases SET submitted_at = 1, backend = 'left' WHERE purchase_id = :key",
        "unknown",
        "I5 purchase {key}: unknown at left",
    ),
    (
        "INSERT INTO takes (take_id, job_id, version, shot, backend, path, sha256, size, kept_at) "
        "VALUES (:key, 'job-1', 1, 1, 'runway', 'p', 's', 1, 1)",
        "failed",
        "I5 take {key}: its purchase did not succeed",
    ),
    ("DELETE FROM legs WHERE purchase_id = :key", "voided", "I9 purchase {key}: lacks a leg"),
    (
        "DELETE FROM legs WHERE purchase_id = :key AND cap_id = (SELECT cap_id FROM caps WHERE kind = 'day')",
        "voided",
        "I9 purchase {key}: lacks a leg on one of envelope, job, day",
    ),
]


def test_honest_books_have_nothing_to_find(books):
    assert findings(books) == []


def test_bills_above_the_hold_refunds_and_second_renders_are_honest(books):
    envelope = books.envelopes["job-1", 1]
    limits = books.limits(envelope, day=20 * USD)
    with books.in_one_transaction():
        over = books.bought(envelope, shot=20).purchase_id
        books.close(over, Step.SUCCEED, charge=1_200 * USD)
        books.adjust(over, -15 * USD, "line-1")
        books.accept(over, "a-second-render")
    assert limits and books.balance("job", "job-1").overrun > 0
    assert findings(books) == []


@pytest.mark.parametrize(("statement", "state", "finding"), FAULTS, ids=[f"{f[2][:2]}-{n}" for n, f in enumerate(FAULTS)])
def test_a_planted_fault_is_named(books, statement, state, finding):
    purchase = key(books, state) if state else ""
    break_in(books, statement, **({"key": purchase} if ":key" in statement else {}))
    found = findings(books)
    assert [line for line in found if line.startswith(finding.format(key=purchase))], found


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        ("('job', 'a', 1, 0, NULL, NULL)", True),
        # Two days one after the other: a purchase is made on one of them.
        ("('day', 'a', 5, 0, 0, 10), ('day', 'b', 5, 0, 10, 20)", True),
        ("('backend_day', 'a', 4, 0, 0, 10), ('backend_day', 'b', 4, 0, 10, 20)", True),
        # Two zones' days that overlap: the zone was changed while the first one ran.
        ("('day', 'a', 5, 0, 0, 11), ('day', 'b', 5, 0, 10, 20)", False),
    ],
)
def test_a_second_leg_on_one_kind_of_cap_is_named_unless_days_of_two_zones_overlap(books, rows, wrong):
    purchase = key(books, "voided")
    break_in(books, f"INSERT INTO caps (kind, key, lock_rank, cap, starts_at, ends_at) VALUES {rows}")  # noqa: S608 - our own rows
    break_in(books, "INSERT INTO legs SELECT :key, cap_id FROM caps WHERE key IN ('a', 'b')", key=purchase)
    assert findings(books) == ([f"I9 purchase {purchase}: has two legs on one kind of cap"] if wrong else [])


def test_an_event_that_a_relay_cannot_deliver_is_named_after_a_day(books):
    assert books.topics(), "nobody takes them: that is no fault of the books"
    assert findings(books) == []
    break_in(books, "UPDATE outbox SET tries = 3 WHERE topic = 'purchase_unknown'")
    late = [line for line in findings(books, now=NOW + LEASE + UNDELIVERED + timedelta(seconds=1)) if line.startswith("I7")]
    assert len(late) == 3 and all("tried, and not delivered" in line for line in late)


def test_what_is_within_its_time_is_not_named(books):
    lost = key(books, "unknown")
    longest = timedelta(seconds=books.catalog.backends["runway"].max_run_seconds)
    break_in(books, "UPDATE purchases SET lease_until = NULL, state = 'unknown', parked_at = 1 WHERE state = 'submitting'")
    break_in(books, "UPDATE purchases SET parked_at = 1 WHERE state = 'submitted'")
    assert [line for line in findings(books, now=NOW + longest + MARGIN) if lost in line] == []
    assert [line[:2] for line in findings(books, now=NOW + longest + MARGIN + timedelta(seconds=1)) if lost in line] == ["I5"]


def test_a_parked_one_is_named_by_nobody_however_old(books):
    with books.ledger.write() as conn:
        for state in ("unknown", "submitted"):
            purchases.park(conn, key(books, state), now=NOW)
    assert [line for line in findings(books, now=NOW + DAY) if line.startswith("I5")] == []


def test_it_changes_nothing(books):
    tables = ("purchases", "caps", "postings", "legs", "outbox", "metric_outbox")
    before = books.rows(*tables)
    findings(books)
    assert books.rows(*tables) == before


def test_it_asks_as_often_however_many_purchases_there_are(books):
    asked, counts = [], []
    event.listen(books.ledger.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    for shot in (30, 31):
        asked.clear()
        findings(books)
        counts.append(len(asked))
        books.hold(books.envelopes["job-1", 1], shot=shot)
    assert counts[0] == counts[1] <= 12
