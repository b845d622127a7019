"""How a campaign's jobs stand is read in as many statements for a thousand jobs as for one."""

from __future__ import annotations

from sqlalchemy import event

from aiprod.ledger import Ledger, campaign_results, campaigns, gates, jobs
from aiprod.ledger.campaigns import Row
from aiprod.models import JobSpec
from tests.desk import NOW


def entered(ledger: Ledger, count: int) -> None:
    with ledger.write() as conn:
        campaigns.set_terms(conn, "spring", source="rows.csv", naming="{row}.mp4", in_flight=None, by="ann", now=NOW)
        for n in range(count):
            jobs.enter(conn, f"row-{n}", JobSpec(prompt="a"), now=NOW, campaign="spring")
            row = Row(row_key=f"k{n}", revision=1, job_id=f"row-{n}", line=n, content_sha="x", published=None)
            campaigns.enter_row(conn, "spring", row, now=NOW)


def statements(ledger: Ledger) -> int:
    asked: list[str] = []

    def note(*args: object) -> None:
        asked.append(str(args[2]))

    event.listen(ledger.engine, "before_cursor_execute", note)
    with ledger.read() as conn:
        campaign_results.results_of(conn, "spring", now=NOW)
    event.remove(ledger.engine, "before_cursor_execute", note)
    return len([text for text in asked if text.startswith("SELECT")])


def test_the_number_of_statements_does_not_grow_with_the_campaign(ledger: Ledger) -> None:
    entered(ledger, 1)
    few = statements(ledger)
    with ledger.write() as conn:
        for n in range(1, 40):
            jobs.enter(conn, f"row-{n}", JobSpec(prompt="a"), now=NOW, campaign="spring")
    assert statements(ledger) == few


def test_a_cancelled_job_says_by_whom_and_an_older_revision_that_it_was_replaced(ledger: Ledger) -> None:
    entered(ledger, 2)
    with ledger.write() as conn:
        gates.cancel_job(conn, "row-0", by="bob", now=NOW)
        newer = Row(row_key="k1", revision=2, job_id="row-0", line=1, content_sha="y", published=None)
        campaigns.enter_row(conn, "spring", newer, now=NOW)
        found = campaign_results.results_of(conn, "spring", now=NOW)
    assert [(r.row_key, r.revision, r.status, r.why, r.replaced) for r in found] == [
        ("k0", 1, "cancelled", "by bob", False),
        ("k1", 1, "failed", "its run ended without a word", True),
        ("k1", 2, "cancelled", "by bob", False),
    ]
